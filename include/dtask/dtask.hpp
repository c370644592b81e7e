// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The whole library for a program with its own main. What carries it (wire, control, net) is not part of it.

/// @namespace dtask
/// All names of the library. Inside is an inline namespace that carries version and flags: programs do not write it.
#include "dtask/base.hpp"
#include "dtask/job.hpp"
#include "dtask/node.hpp"
#include "dtask/process.hpp"
#include "dtask/runtime.hpp"
#include "dtask/task.hpp"
