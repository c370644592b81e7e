// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cmath>
#include <concepts>
#include <cstdint>
#include <numbers>
#include <string>
#include <variant>

#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN

// Factors of a learning rate over a training's progress, which runs from 0 (before the first step) to 1 (after the
// last). They are plain data and travel. A schedule of one's own is any function double(double), which a recipe has as
// a member, since no code travels.

/// Always 1.
struct constant_rate {
  double operator()(double) const noexcept { return 1; }  ///< 1 at any progress
  /// All are equal.
  friend bool operator==(const constant_rate&, const constant_rate&) = default;
};

/// Times `factor` at each further `every` of the progress (StepLR in PyTorch).
struct step_rate {
  double every = 1.0 / 3;  ///< of the progress; above 0
  double factor = 0.1;     ///< of each further step
  /// The factor at a progress from 0 to 1.
  double operator()(double progress) const noexcept {
    // A step that ends at a multiple of `every` but for rounding belongs behind it.
    return std::pow(factor, std::floor(progress / every + 1e-9));
  }
  /// Compares member by member.
  friend bool operator==(const step_rate&, const step_rate&) = default;
};

/// Up in a straight line over the first `warm_up` of the progress, then down along half a cosine to `last`
/// (arXiv 1608.03983, without restarts).
struct cosine_rate {
  double warm_up = 0;  ///< of the progress, from 0 to 1
  double last = 0;     ///< factor at the end
  /// The factor at a progress from 0 to 1.
  double operator()(double progress) const noexcept {
    if (progress < warm_up) return progress / warm_up;
    if (warm_up >= 1) return 1;
    const double done = (progress - warm_up) / (1 - warm_up);
    return last + (1 - last) * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }
  /// Compares member by member.
  friend bool operator==(const cosine_rate&, const cosine_rate&) = default;
};

/// One cycle: from `first` up in a straight line to 1 at `peak` of the progress, then down along half a cosine to
/// `last` (arXiv 1708.07120).
struct one_cycle_rate {
  double peak = 0.2;   ///< where in the progress the factor is 1
  double first = 0.1;  ///< factor at the beginning
  double last = 0;     ///< factor at the end
  /// The factor at a progress from 0 to 1.
  double operator()(double progress) const noexcept {
    if (progress < peak) return first + (1 - first) * progress / peak;
    if (peak >= 1) return 1;
    return last + (1 - last) * 0.5 * (1 + std::cos(std::numbers::pi * (progress - peak) / (1 - peak)));
  }
  /// Compares member by member.
  friend bool operator==(const one_cycle_rate&, const one_cycle_rate&) = default;
};

/// One of the schedules, as an option that travels: `learning_rate{cosine_rate{.warm_up = 0.05}}`.
struct learning_rate {
  std::variant<constant_rate, step_rate, cosine_rate, one_cycle_rate> schedule;  ///< which one
  /// The schedule's factor at a progress from 0 to 1.
  double operator()(double progress) const {
    return std::visit([progress](const auto& s) { return s(progress); }, schedule);
  }
  /// Equal schedules with equal numbers.
  friend bool operator==(const learning_rate&, const learning_rate&) = default;
};

/// The factor of any schedule at a progress: what every step asks. Throws `error(errc::invalid_argument)` for a
/// progress outside [0, 1] and for a factor that is not finite or negative, as wrong options of a schedule give.
template <class Schedule>
  requires std::invocable<const Schedule&, double>
double rate_at(const Schedule& schedule, double progress) {
  if (!(progress >= 0 && progress <= 1))
    throw error(errc::invalid_argument, "a training's progress is from 0 to 1, not " + number_text(progress));
  const double factor = schedule(progress);
  if (!std::isfinite(factor) || factor < 0)
    throw error(errc::invalid_argument,
                "the learning rate's factor at progress " + number_text(progress) + " is " +
                    (std::isfinite(factor) ? number_text(factor) : std::string("not finite")),
                {}, "a schedule gives finite numbers that are not negative");
  return factor;
}

/// How far a training is before its step number `step` of `steps`, from 0. None at all is 0.
inline double progress_of(std::int64_t step, std::int64_t steps) noexcept {
  if (steps <= 0 || step <= 0) return 0;
  return step >= steps ? 1 : static_cast<double>(step) / static_cast<double>(steps);
}

DTASK_END
