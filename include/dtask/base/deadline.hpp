// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// All time in dtask: nanoseconds on a steady clock that the scheduler in force defines (real, or virtual in a
/// simulation).
using clock_type = std::chrono::steady_clock;
using duration = std::chrono::nanoseconds;                         ///< a span of time, in nanoseconds
using time_point = std::chrono::time_point<clock_type, duration>;  ///< an instant on that clock

/// A duration that means: this job has no deadline. The only way to lift the default of one hour.
inline constexpr duration no_deadline = duration::max();
/// The instant that never comes.
inline constexpr time_point never = time_point::max();
/// The deadline of a job whose caller named none.
inline constexpr duration default_deadline = std::chrono::hours(1);

/// `now + after`, saturating at `never`.
constexpr time_point deadline_after(time_point now, duration after) noexcept {
  return after >= never - now ? never : now + after;
}
/// What is left until `at`, for a deadline that travels: never negative, `no_deadline` for `never`.
constexpr duration remaining(time_point at, time_point now) noexcept {
  if (at == never) return no_deadline;
  return at > now ? at - now : duration::zero();
}

DTASK_END
