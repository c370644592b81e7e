// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN
namespace cuda {

/// How closely the end of device work is looked for.
struct poll_options {
  /// How long it is looked for without a pause after the last news: what is short is seen at once, for the price of a
  /// core during that time.
  duration spin = std::chrono::microseconds(100);
  /// Afterwards: the pause between two looks, a 16th of the time since the last news within these bounds. Half of it is
  /// what a wait costs beyond the device.
  duration shortest = std::chrono::microseconds(10);
  duration longest = std::chrono::microseconds(50);  ///< not below `shortest`
  /// How often is looked where host functions report the ends: they do not run once the device has failed.
  duration watchdog = std::chrono::milliseconds(20);
};

/// Decides when to look next. Knows no clock, no device and no thread.
class poll_schedule {
 public:
  /// Throws `error(invalid_argument)` for pauses that are not in order.
  explicit poll_schedule(const poll_options& options) : options_(options) {
    if (options.spin < duration::zero() || options.shortest <= duration::zero() || options.longest < options.shortest ||
        options.watchdog < options.longest)
      throw error(errc::invalid_argument, "poll_options whose times are not in order", "cuda",
                  "0 <= spin, 0 < shortest <= longest <= watchdog");
  }
  /// A wait began or ended: neighbours mostly end soon after each other.
  void news(time_point now) noexcept { last_ = now; }
  /// How long to leave the device alone from `now` on; zero: look again. `reported`: host functions tell of all that is
  /// waited for.
  duration pause(time_point now, bool reported) const noexcept {
    if (reported) return options_.watchdog;
    const duration since = now - last_;
    if (since < options_.spin) return duration::zero();
    return std::clamp(since / 16, options_.shortest, options_.longest);
  }

 private:
  poll_options options_;
  time_point last_{};
};

}  // namespace cuda
DTASK_END
