// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"

DTASK_BEGIN
namespace sim {

/// The one source of chance in a simulation: the same numbers for the same seed, on every machine and compiler
/// (SplitMix64, Steele et al., 2014).
///
/// Thread safety: none.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// A number below `bound`, which is not 0. The bias of the remainder does not matter here.
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }
  /// A number from `low` to `high`, both included.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) noexcept { return low + below(high - low + 1); }
  std::uint32_t between32(std::uint32_t low, std::uint32_t high) noexcept {
    return static_cast<std::uint32_t>(between(low, high));
  }
  /// True in a share `p` of the cases.
  bool chance(double p) noexcept { return static_cast<double>(next() >> 11) < p * 9007199254740992.0; }
  /// Evenly from `low` to `high`.
  duration time(duration low, duration high) noexcept {
    return high <= low
               ? low
               : low + duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>((high - low).count()) + 1)));
  }
  /// From `low` to `high` with every power of two as likely as the next: many small numbers and a few large ones.
  std::uint64_t spread(std::uint64_t low, std::uint64_t high) noexcept {
    std::uint64_t top = low;
    while (top < high && chance(0.75)) top = top < high / 2 ? top * 2 + 1 : high;
    return between(low, top);
  }
  /// A source of its own, so that what one part draws does not change what another draws.
  random_source fork() noexcept { return random_source(next()); }

 private:
  std::uint64_t state_;
};

}  // namespace sim
DTASK_END
