// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace control {

/// The only randomness of the machines: a sequence from the seed given at construction (splitmix64, Steele, Lea and
/// Flood, OOPSLA 2014).
class random_sequence {
 public:
  explicit random_sequence(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// Not 0, for ids and keys where 0 means none.
  std::uint64_t next_key() noexcept {
    const std::uint64_t value = next();
    return value != 0 ? value : 1;
  }
  /// 0 ... below - 1.
  std::uint64_t below(std::uint64_t bound) noexcept { return bound == 0 ? 0 : next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace control
DTASK_END
