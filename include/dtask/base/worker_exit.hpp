// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// Why a worker ended.
enum class exit_reason : std::uint8_t {
  drained,      ///< it was told to leave, and all its jobs have ended
  stopped,      ///< at once, on demand
  refused,      ///< the coordinator does not take this worker; `why` says what it answered
  unreachable,  ///< no coordinator within the stated time
  no_slots,     ///< all slots are held by jobs that ignore stop
};

/// How a worker ended.
struct worker_exit {
  exit_reason reason = exit_reason::drained;  ///< which way it ended
  error why;                                  ///< what led to it; no error where it ended as it should
};

DTASK_END
