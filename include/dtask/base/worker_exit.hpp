// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string_view>

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

/// The name as it is written in C++; "unknown" for a value that is none.
constexpr std::string_view to_string(exit_reason r) noexcept {
  switch (r) {
    case exit_reason::drained:
      return "drained";
    case exit_reason::stopped:
      return "stopped";
    case exit_reason::refused:
      return "refused";
    case exit_reason::unreachable:
      return "unreachable";
    case exit_reason::no_slots:
      return "no_slots";
  }
  return "unknown";
}

/// How a worker ended.
struct worker_exit {
  exit_reason reason = exit_reason::drained;  ///< which way it ended
  error why;                                  ///< what led to it; no error where it ended as it should
};

DTASK_END
