// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <limits>

#include "dtask/base/config.hpp"
#include "dtask/data/detail/mix.hpp"

DTASK_BEGIN

/// Random numbers that belong to one sample in one epoch: the same whichever thread, worker or rank augments it, and in
/// whatever order.
///
/// A counter is hashed under a key of (seed, epoch, sample), as in Salmon and others: Parallel Random Numbers: As Easy
/// as 1, 2, 3 (2011). It is a uniform random bit generator for `<random>` too, whose distributions differ between
/// standard libraries: the draws of this class are the same on every machine. Not for secrets. Copied freely; one
/// generator belongs to one thread at a time.
class sample_random {
 public:
  using result_type = std::uint64_t;  ///< of a draw, for `<random>`

  /// The generator of this sample, before its first draw.
  sample_random(std::uint64_t seed, std::uint64_t epoch, std::uint64_t sample) noexcept
      : counter_(detail::mix(detail::mix(seed, epoch), sample)), key_(detail::mix(counter_, detail::golden ^ sample)) {}

  static constexpr result_type min() noexcept { return 0; }  ///< the smallest draw, for `<random>`
  /// The largest draw, for `<random>`.
  static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }
  /// The next 64 random bits.
  result_type operator()() noexcept { return detail::mix(detail::mix(counter_ += detail::golden) ^ key_); }

  /// A whole number from 0 to `bound` - 1, each equally likely (Lemire, Fast Random Integer Generation in an Interval,
  /// 2019). Precondition: `bound > 0`.
  std::uint64_t below(std::uint64_t bound) noexcept {
    __extension__ using wide = unsigned __int128;
    wide product = static_cast<wide>((*this)()) * bound;
    if (static_cast<std::uint64_t>(product) < bound) [[unlikely]] {
      const std::uint64_t uneven = (0 - bound) % bound;
      while (static_cast<std::uint64_t>(product) < uneven) product = static_cast<wide>((*this)()) * bound;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }
  /// A number in [0, 1), a multiple of 2^-53.
  double uniform() noexcept { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
  /// A number in [from, to), or `to` where rounding makes it so.
  double uniform(double from, double to) noexcept { return from + (to - from) * uniform(); }
  /// True with the given probability.
  bool chance(double probability) noexcept { return uniform() < probability; }

 private:
  std::uint64_t counter_, key_;
};

/// The random numbers of the samples of one epoch, for a dataset that fills whole batches.
struct sample_keys {
  std::uint64_t seed = 0;   ///< of the loader
  std::uint64_t epoch = 0;  ///< that is loaded
  /// The generator of one sample, before its first draw.
  sample_random of(std::uint64_t sample) const noexcept { return {seed, epoch, sample}; }
};

DTASK_END
