// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The roles of a program: run, worker, coordinator, status; progress; exit codes. Needs CLI11.
#include "dtask/cli/coordinator_role.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/cli/launch.hpp"
#include "dtask/cli/main.hpp"
#include "dtask/cli/progress.hpp"
#include "dtask/cli/status_role.hpp"
#include "dtask/cli/worker_role.hpp"
