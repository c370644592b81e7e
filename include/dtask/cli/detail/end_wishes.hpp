// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <optional>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// Which wish to end a signal is. What ends programs often signals twice at once: coreutils' `timeout` the child and
/// then its group, a terminal's Ctrl-C the group and a shell or `sudo` once more. That is one wish.
class end_wishes {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds one_wish{500};

  /// The number, from 1, of the wish that a signal heard at `now` begins; 0 where it belongs to the last one. From the
  /// first signal of a wish, so that whoever goes on signalling gets on.
  unsigned heard(clock::time_point now) noexcept {
    if (began_ && now - *began_ < one_wish) return 0;
    began_ = now;
    return ++count_;
  }

 private:
  std::optional<clock::time_point> began_;
  unsigned count_ = 0;
};

}  // namespace detail
DTASK_END
