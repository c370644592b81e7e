// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/memory_use.hpp"

DTASK_BEGIN

/// What a coordinator knows of one worker.
struct worker_status {
  std::uint64_t id = 0;
  std::string name, host;
  std::uint32_t pid = 0;
  std::uint32_t slots = 0, lost_slots = 0, running = 0, prefetched = 0;
  std::uint64_t done = 0;
  std::string state;  ///< up, suspect, draining
  duration silent{};  ///< since it was last heard from
  memory_use memory;  ///< as it last reported, with its heartbeat
};

/// What a coordinator counts.
struct cluster_status {
  std::uint64_t epoch = 0;  ///< of this life of the coordinator
  duration up{};
  std::uint64_t clients = 0;
  std::uint64_t queued = 0, assigned = 0, running = 0, waiting_retry = 0;  ///< jobs by state
  std::uint64_t succeeded = 0, failed = 0, cancelled = 0, placed_again = 0;
  std::uint64_t payload_bytes = 0, payload_limit = 0;
  std::uint64_t result_bytes = 0;  ///< values that their clients have not acknowledged; the limit is that of payloads
  std::uint64_t broadcast_bytes = 0, broadcast_limit = 0;
  memory_use memory;  ///< of the coordinator
  std::vector<worker_status> workers;
};

DTASK_END
