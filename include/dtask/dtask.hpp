// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The whole library for a program with its own main. What carries it (wire, control, net) is not part of it.
#include "dtask/base.hpp"
#include "dtask/job.hpp"
#include "dtask/node.hpp"
#include "dtask/runtime.hpp"
#include "dtask/task.hpp"
