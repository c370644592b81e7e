// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/retry_policy.hpp"

DTASK_BEGIN
namespace control {

/// A retry policy as a job's record holds it: 12 bytes; pauses in milliseconds, at most 49 days.
struct packed_retry {
  std::uint32_t backoff_ms = 0;
  std::uint32_t max_backoff_ms = 0;
  std::uint16_t retries = 0;
  bool on_exception = false;

  packed_retry() = default;
  explicit packed_retry(const retry_policy& policy) noexcept;
  retry_policy unpacked() const noexcept;
  static std::uint32_t pack(duration d) noexcept;
};

/// Whether an attempt that ended like this may be followed by another: by the class of the error, the job's effect
/// class, and what is left of its retries. `attempts`: executions so far, the one that ended among them.
constexpr bool may_retry(errc why, effect effect_class, std::uint32_t retries, bool on_exception,
                         std::uint32_t attempts) noexcept {
  if (attempts > retries) return false;
  switch (why) {
    case errc::worker_lost:
    case errc::overloaded:
      return may_run_again(effect_class);
    case errc::job_failed:
      return on_exception && may_run_again(effect_class);
    default:
      return false;
  }
}

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/retry.ipp"
#endif
