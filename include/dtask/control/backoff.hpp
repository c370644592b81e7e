// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/random_sequence.hpp"

DTASK_BEGIN
namespace control {

/// The pauses between tries that failed: at once, then `least`, doubling up to `most`, each shortened by up to a
/// quarter so that many peers do not come back in step.
class backoff {
 public:
  backoff(duration least, duration most) noexcept : least_(least), most_(most) {}
  /// The pause before the next try.
  duration next(random_sequence& random) noexcept {
    const duration pause = pause_;
    pause_ = pause == duration::zero() ? least_ : std::min(pause * 2, most_);
    return pause - duration(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(pause.count()) / 4 + 1)));
  }
  /// A try worked: the next pause is none.
  void reset() noexcept { pause_ = duration::zero(); }

 private:
  duration least_;
  duration most_;
  duration pause_{};
};

}  // namespace control
DTASK_END
