// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstdint>

#include "dtask/base/deadline.hpp"

DTASK_BEGIN

/// When and how often a job is run again.
///
/// `worker_lost` is retried if the job's effect class allows, `overloaded` always: the job was not accepted. An
/// exception thrown by the job is an answer and is retried only with `on_exception`; codec, schema, size, deadline and
/// cancel never are. A worker's death counts as an attempt.
struct retry_policy {
  std::uint32_t retries = 3;                         ///< attempts after the first
  duration backoff = std::chrono::milliseconds(50);  ///< before the first retry; doubles each time
  duration max_backoff = std::chrono::seconds(5);    ///< where the doubling ends
  bool on_exception = false;                         ///< retry a job that threw

  /// The pause before attempt `attempt` (2 is the first retry).
  constexpr duration pause_before(std::uint32_t attempt) const noexcept {
    duration pause = backoff;
    for (std::uint32_t i = 2; i < attempt && pause > duration::zero() && pause < max_backoff; ++i) {
      if (pause > max_backoff / 2) return max_backoff;  // doubled it could exceed what a duration holds
      pause *= 2;
    }
    return pause < max_backoff ? pause : max_backoff;
  }
};

DTASK_END
