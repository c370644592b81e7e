// SPDX-License-Identifier: BSL-1.0
#pragma once
/// `dtask::main<jobs>` and what a program of every role needs. A program that goes beyond (threads, Asio) includes
/// dtask/dtask.hpp too.
#include "dtask/base.hpp"
#include "dtask/cli.hpp"
#include "dtask/job.hpp"
#include "dtask/node.hpp"
#include "dtask/process.hpp"
#include "dtask/task.hpp"
