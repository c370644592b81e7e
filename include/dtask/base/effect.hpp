// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// What running a job twice would do; it decides what the cluster may do after a loss.
enum class effect : std::uint8_t {
  at_most_once = 0,  ///< may not run twice: never prefetched, a loss after dispatch ends it with `worker_lost`
  idempotent = 1,    ///< running it again leaves the same state: placed again after a loss
  pure = 2,          ///< no effect but its result: placed again, and may be run speculatively
};

/// `effect::at_most_once` as a type, for `dtask::job<"name/1", dtask::at_most_once>`.
struct at_most_once {
  static constexpr effect value = effect::at_most_once;  ///< the class
};
/// `effect::idempotent` as a type.
struct idempotent {
  static constexpr effect value = effect::idempotent;  ///< the class
};
/// `effect::pure` as a type.
struct pure {
  static constexpr effect value = effect::pure;  ///< the class
};

/// Whether a job of this class may be dispatched a second time.
constexpr bool may_run_again(effect e) noexcept { return e != effect::at_most_once; }

/// The name of the class, as it is written in C++; "unknown" for a value that is none.
constexpr std::string_view to_string(effect e) noexcept {
  switch (e) {
    case effect::at_most_once:
      return "at_most_once";
    case effect::idempotent:
      return "idempotent";
    case effect::pure:
      return "pure";
  }
  return "unknown";
}

DTASK_END
