// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// Where the payload bytes of a process are, at one moment. All in bytes.
///
/// `blocks`, `idle` and `resident` are those of the whole process; the rest is what one coordinator, worker or client
/// holds. Arguments, results and broadcasts lie in blocks or in memory of the program itself, so they are not to be
/// added to `blocks`.
struct memory_use {
  std::uint64_t blocks = 0;      ///< payload blocks in use: on links, in tables, in values that jobs and callers hold
  std::uint64_t idle = 0;        ///< blocks that nobody uses; the system has them back when that lasts for some seconds
  std::uint64_t links = 0;       ///< queued on connections and not yet sent, and their receive buffers
  std::uint64_t arguments = 0;   ///< of jobs that wait: to be sent, to be placed, for a slot
  std::uint64_t results = 0;     ///< values that have not been acknowledged
  std::uint64_t broadcasts = 0;  ///< broadcast values that are held
  std::uint64_t resident = 0;    ///< memory that the system counts for the process; 0: it does not say
  friend bool operator==(const memory_use&, const memory_use&) = default;  ///< the same in every member
};

DTASK_END
