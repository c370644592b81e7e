// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/random_sequence.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace dtask::control;

TEST_CASE("random_sequence: splitmix64, as its authors publish it") {
  random_sequence zero(0);
  CHECK(zero.next() == 0xe220a8397b1dcdafULL);
  CHECK(zero.next() == 0x6e789e6aa1b965f4ULL);
  CHECK(zero.next() == 0x06c45d188009454fULL);
  random_sequence other(1234567);
  CHECK(other.next() == 6457827717110365317ULL);
  CHECK(other.next() == 3203168211198807973ULL);
}

TEST_CASE("random_sequence: the same seed, the same sequence; below a bound, and never a key of 0") {
  random_sequence a(42), b(42);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7000; ++i) {
    const std::uint64_t n = a.below(7);
    REQUIRE(n < 7);
    ++seen[n];
    CHECK(b.next() % 7 == n);
  }
  for (const int count : seen) CHECK(count > 800);
  CHECK(a.below(1) == 0);
  // A bound of nothing divides by nothing, and takes no number.
  random_sequence c = a;
  CHECK(a.below(0) == 0);
  CHECK(a.next() == c.next());
  // The seed from which the next number is 0: the additive constant taken back from the state 0, which mixes to 0.
  const std::uint64_t before_zero = 0 - 0x9e3779b97f4a7c15ULL;
  CHECK(random_sequence(before_zero).next() == 0);
  CHECK(random_sequence(before_zero).next_key() == 1);
}
