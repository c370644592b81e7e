// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014; constants of
/// Stafford's variant 13): a bijection of 64 bits in which every input bit changes about half of the output bits.
constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}
/// The odd number next to 2^64 divided by the golden ratio: multiples of it are spread evenly.
inline constexpr std::uint64_t golden = 0x9e3779b97f4a7c15U;

/// A key of several numbers whose order counts.
constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept { return mix(mix(a + golden) ^ (b * golden)); }

}  // namespace detail
DTASK_END
