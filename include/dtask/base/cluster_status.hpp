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
  std::uint64_t id = 0;          ///< the coordinator's number for it
  std::string name;              ///< see `worker_options::name`
  std::string host;              ///< the machine that it runs on, as it calls itself
  std::uint32_t pid = 0;         ///< its process there
  std::uint32_t slots = 0;       ///< jobs that it runs at once
  std::uint32_t lost_slots = 0;  ///< of these, held by abandoned jobs
  std::uint32_t running = 0;     ///< jobs that it has reported as started
  std::uint32_t prefetched = 0;  ///< jobs that are placed on it and not reported as started
  std::uint64_t done = 0;        ///< executions whose end it has reported
  std::string state;             ///< up, suspect, draining
  duration silent{};             ///< since it was last heard from
  memory_use memory;             ///< as it last reported, with its heartbeat
};

/// What a coordinator counts.
struct cluster_status {
  std::uint64_t epoch = 0;          ///< of this life of the coordinator
  duration up{};                    ///< since its start
  std::uint64_t clients = 0;        ///< client sessions, also those that may still come back
  std::uint64_t queued = 0;         ///< jobs that wait for a worker
  std::uint64_t assigned = 0;       ///< jobs that are placed on a worker and not reported as started
  std::uint64_t running = 0;        ///< jobs that are reported as started
  std::uint64_t waiting_retry = 0;  ///< jobs that pause before another attempt
  std::uint64_t succeeded = 0;      ///< jobs that ended with a value, since its start
  std::uint64_t failed = 0;         ///< jobs that ended without one, the cancelled ones aside, since its start
  std::uint64_t cancelled = 0;      ///< jobs that ended `cancelled`, since its start
  std::uint64_t placed_again = 0;   ///< how often a job was put back to be placed again, since its start
  std::uint64_t payload_bytes = 0;  ///< arguments and records of all jobs
  std::uint64_t payload_limit = 0;  ///< `coordinator_options::queue_bytes`
  std::uint64_t result_bytes = 0;   ///< values that their clients have not acknowledged; the limit is that of payloads
  std::uint64_t broadcast_bytes = 0;   ///< broadcast and published values of all sessions
  std::uint64_t broadcast_limit = 0;   ///< `coordinator_options::broadcast_bytes`
  memory_use memory;                   ///< of the coordinator
  std::vector<worker_status> workers;  ///< those that have not gone
};

DTASK_END
