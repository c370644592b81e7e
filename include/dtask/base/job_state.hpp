// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// Where a submitted job is.
enum class job_state : std::uint8_t { unsent = 0, queued = 1, assigned = 2, running = 3, finished = 4 };

DTASK_END
