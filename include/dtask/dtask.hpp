// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The whole library for a program with its own main.
#include "dtask/base.hpp"
#include "dtask/control.hpp"
#include "dtask/job.hpp"
#include "dtask/net.hpp"
#include "dtask/node.hpp"
#include "dtask/runtime.hpp"
#include "dtask/task.hpp"
#include "dtask/wire.hpp"
