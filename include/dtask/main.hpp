// SPDX-License-Identifier: BSL-1.0
#pragma once
/// `dtask::main<jobs>` and what a program of every role needs.
#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/dtask.hpp"
#else
#include "dtask/base.hpp"
#include "dtask/job.hpp"
#include "dtask/node.hpp"
#include "dtask/task.hpp"
#endif
#include "dtask/cli.hpp"
