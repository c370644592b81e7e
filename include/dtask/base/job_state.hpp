// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string_view>

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

/// The name as it is written in C++; "unknown" for a value that is none.
constexpr std::string_view to_string(job_state s) noexcept {
  switch (s) {
    case job_state::unsent:
      return "unsent";
    case job_state::queued:
      return "queued";
    case job_state::assigned:
      return "assigned";
    case job_state::running:
      return "running";
    case job_state::finished:
      return "finished";
  }
  return "unknown";
}

DTASK_END
