// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"

DTASK_BEGIN
namespace control {

/// Decides when a process gives back to the system what payloads leave behind: blocks that idle, and holes in the
/// allocator's heaps.
///
/// Periods of 2.5 s. A block that idled all through one is given back at its end, so at most 5 s after its last use.
/// The heaps are trimmed once payloads have moved and a quiet period has followed, or every half minute while they go
/// on; again where a little has moved since (what was in use at the time), and where the process has grown though none
/// moved. Those two happen less and less often while they give nothing back: trimming costs time, and what it takes
/// away has to be faulted in again. Not thread-safe.
class trim_schedule {
 public:
  static constexpr duration period = std::chrono::milliseconds(2500);
  /// Less than this is not worth the trouble.
  static constexpr std::uint64_t worth = std::uint64_t{16} << 20;

  static constexpr std::uint64_t little = std::uint64_t{64} << 10;

  struct due {
    bool blocks = false;  ///< a period is over
    bool heaps = false;
  };

  /// What is due. `moved`: payload bytes that this process has sent, received or let go so far; `resident`: its
  /// memory now.
  due at(time_point now, std::uint64_t moved, std::uint64_t resident) noexcept {
    due out;
    if (now < next_) return out;
    out.blocks = true;
    if (next_ == time_point{}) {  // what the program began with
      trimmed_ = now;
      resident_after_ = resident;
    }
    next_ = now + period;
    const bool quiet = moved - moved_before_ < worth;
    moved_before_ = moved;
    const bool left_behind = moved - moved_at_trim_ >= worth && (quiet || now >= trimmed_ + unquiet);
    const bool again = moved - moved_at_trim_ >= little && quiet && now >= trimmed_ + pause_;
    const bool grown = moved >= worth && resident >= resident_after_ + 2 * worth &&
                       now >= trimmed_ + std::max<duration>(pause_, unquiet);
    out.heaps = left_behind || again || grown;
    if (!out.heaps) return out;
    if (left_behind) pause_ = period;
    moved_at_trim_ = moved;
    trimmed_ = now;
    return out;
  }
  /// The heaps were trimmed.
  void trimmed(std::uint64_t resident_before, std::uint64_t resident_after) noexcept {
    resident_after_ = resident_after;
    pause_ = resident_before >= resident_after + worth ? period : std::min<duration>(2 * pause_, longest);
  }

 private:
  static constexpr duration unquiet = std::chrono::seconds(30);
  static constexpr duration longest = std::chrono::minutes(10);
  time_point next_{};
  time_point trimmed_{};
  duration pause_ = period;
  std::uint64_t moved_before_ = 0;
  std::uint64_t moved_at_trim_ = 0;
  std::uint64_t resident_after_ = 0;
};

}  // namespace control
DTASK_END
