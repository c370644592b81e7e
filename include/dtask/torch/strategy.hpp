// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/torch/aggregate.hpp"

DTASK_BEGIN

/// How the ranks of a training come together: what a round is, and what is made of its parts. Made by `sync`,
/// `local_sgd`, `average` and `diloco`; it travels.
struct strategy {
  /// What is made of the parts of a round: each is described where it is made.
  enum class way : std::uint8_t {
    sync,     ///< `dtask::sync`
    local,    ///< `dtask::local_sgd`
    average,  ///< `dtask::average`
    diloco,   ///< `dtask::diloco`
  };
  way how = way::sync;  ///< which one
  /// Batches of a rank in one round: those whose gradients are summed (`sync`), or those after each of which the rank's
  /// own optimizer takes a step. 0: a whole epoch.
  std::int64_t batches = 1;
  optimizer_merge merge = optimizer_merge::average;  ///< what becomes of the ranks' own optimizers
  diloco_options outer{};                            ///< of `diloco`

  /// Whether a rank takes steps of its own.
  bool is_local() const noexcept { return how != way::sync; }
  /// Compares member by member.
  friend bool operator==(const strategy& a, const strategy& b) noexcept {
    return a.how == b.how && a.batches == b.batches && a.merge == b.merge && a.outer.rate == b.outer.rate &&
           a.outer.momentum == b.outer.momentum;
  }
};

/// Its name and numbers: "local_sgd(16)".
inline std::string to_string(const strategy& s) {
  const std::string batches = "(" + std::to_string(s.batches) + ")";
  const std::string merge = s.is_local() && s.merge == optimizer_merge::reset ? ", optimizers reset" : "";
  switch (s.how) {
    case strategy::way::sync:
      return "sync" + (s.batches == 1 ? std::string() : batches);
    case strategy::way::local:
      return "local_sgd" + batches + merge;
    case strategy::way::average:
      return "average" + merge;
    case strategy::way::diloco:
      break;
  }
  return "diloco" + batches + merge;
}

namespace detail {
inline std::int64_t at_least_one(std::int64_t batches) {
  if (batches < 1)
    throw error(errc::invalid_argument, "a round of " + std::to_string(batches) + " batches", "strategy",
                "a round has at least one batch of each rank");
  return batches;
}
}  // namespace detail

/// The gradients of one batch of each rank (or of `accumulate`), summed, make one step of one optimizer, which lives
/// with the trainer: what one process would do with the whole batch.
inline strategy sync(std::int64_t accumulate = 1) {
  return {strategy::way::sync, detail::at_least_one(accumulate), optimizer_merge::average, {}};
}
/// Each rank takes `batches` steps of its own, then the models are averaged, weighted by samples (arXiv 1808.07217).
/// One message for that many batches.
inline strategy local_sgd(std::int64_t batches, optimizer_merge merge = optimizer_merge::average) {
  return {strategy::way::local, detail::at_least_one(batches), merge, {}};
}
/// The same with one average per epoch.
inline strategy average(optimizer_merge merge = optimizer_merge::average) {
  return {strategy::way::average, 0, merge, {}};
}
/// Local steps as with `local_sgd`; the averaged change is then the gradient of an outer optimizer with Nesterov
/// momentum (arXiv 2311.08105, whose rounds have some hundred steps).
inline strategy diloco(std::int64_t batches, diloco_options outer = {},
                       optimizer_merge merge = optimizer_merge::average) {
  return {strategy::way::diloco, detail::at_least_one(batches), merge, outer};
}

DTASK_END
