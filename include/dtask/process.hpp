// SPDX-License-Identifier: BSL-1.0
#pragma once
/// What a process is told at its start, and by what processes know each other: cookies, ranks, workers of spawn://.
#include "dtask/process/cookie.hpp"
#include "dtask/process/launcher_variables.hpp"
#include "dtask/process/spawned.hpp"
