// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"

DTASK_BEGIN
namespace control {

/// How many jobs a worker ends per second, measured over intervals of at least 10 ms in which it had work, so that its
/// prefetch window can hold a stated *time* of work: hundreds of jobs that take microseconds, one that takes seconds.
class speed {
 public:
  /// The worker got its first job after it had none.
  void begin(time_point now) noexcept {
    since_ = now;
    count_ = 0;
  }
  void done(time_point now) noexcept {
    last_ = now;
    ++count_;
    const duration took = now - since_;
    if (took < std::chrono::milliseconds(10)) return;
    const double measured = static_cast<double>(count_) / std::chrono::duration<double>(took).count();
    rate_ = rate_ == 0 ? measured : (rate_ + measured) / 2;
    begin(now);
  }
  /// Jobs that it ends in this time.
  std::uint32_t within(duration time) const noexcept {
    return static_cast<std::uint32_t>(std::min(rate_ * std::chrono::duration<double>(time).count(), 1e6));
  }
  /// When it last ended a job, or got its first.
  time_point last() const noexcept { return std::max(last_, since_); }

 private:
  time_point since_{};
  time_point last_{};
  std::uint64_t count_ = 0;
  double rate_ = 0;
};

}  // namespace control
DTASK_END
