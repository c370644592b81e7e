// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"

DTASK_BEGIN
namespace detail {

/// Decides how long a thread that waits for events should look for them before it sleeps.
///
/// It learns from the waits themselves: where events come within `longest` of each other, as the answers to calls in
/// flight do, it looks for about twice the usual wait; where they do not, it sleeps at once, and tries again once in a
/// while. A thread that finds others running on its core while it looks has no core to spare and stops for a time.
/// Thread safety: none; it belongs to the waiting thread.
class adaptive_wait {
 public:
  explicit adaptive_wait(duration longest) noexcept : longest_(longest), usual_(longest) {}

  duration longest() const noexcept { return longest_; }
  /// How long to look before the next sleep; zero: sleep at once.
  duration window(time_point now) noexcept {
    if (now < crowded_until_) return duration::zero();
    if (usual_ <= longest_) return std::min(2 * usual_, longest_);
    return ++asleep_ % probe_every == 0 ? longest_ : duration::zero();
  }
  /// The wait is over and took this long, whether the thread slept or not.
  void waited(duration wait) noexcept { usual_ += (std::min(wait, 4 * longest_) - usual_) / 4; }
  /// Two looks that followed each other directly were this far apart.
  void looked(duration apart, time_point now) noexcept {
    if (apart < crowded_gap) return;
    crowded_for_ = std::min(now < crowded_until_ + crowded_for_ ? 2 * crowded_for_ : shortest_crowd, longest_crowd);
    crowded_until_ = now + crowded_for_;
  }

 private:
  static constexpr std::uint32_t probe_every = 16;
  static constexpr duration crowded_gap = std::chrono::microseconds(20);  // one look takes about 1
  static constexpr duration shortest_crowd = std::chrono::milliseconds(1);
  static constexpr duration longest_crowd = std::chrono::milliseconds(64);

  duration longest_;
  duration usual_;
  duration crowded_for_ = shortest_crowd;
  time_point crowded_until_{};
  std::uint32_t asleep_ = 0;
};

}  // namespace detail
DTASK_END
