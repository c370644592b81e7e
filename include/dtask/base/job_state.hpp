// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// Where a submitted job is.
enum class job_state : std::uint8_t {
  unsent = 0,    ///< at its client, not sent yet
  queued = 1,    ///< at the coordinator, to be placed
  assigned = 2,  ///< placed on a worker
  running = 3,   ///< its worker has reported it as started
  finished = 4,  ///< it has ended
};

DTASK_END
