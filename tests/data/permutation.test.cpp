// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/permutation.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace {
std::vector<std::uint64_t> all_of(const dtask::permutation& order) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t i = 0; i < order.size(); ++i) out.push_back(order[i]);
  return out;
}
/// Of observed counts against equal expected ones.
double chi_square(const std::vector<int>& counts, double expected) {
  double sum = 0;
  for (const int n : counts) sum += (n - expected) * (n - expected) / expected;
  return sum;
}
}  // namespace

TEST_CASE("permutation: every number once, for many sizes and keys") {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t n = 0; n <= 130; ++n) sizes.push_back(n);
  for (const std::uint64_t n : {255U, 256U, 257U, 1000U, 4095U, 4097U, 60000U}) sizes.push_back(n);
  for (const std::uint64_t n : sizes)
    for (const std::uint64_t seed : {0U, 1U, 77U}) {
      std::vector<int> seen(n, 0);
      for (const std::uint64_t x : all_of(dtask::permutation(n, seed, 3))) {
        REQUIRE(x < n);
        ++seen[x];
      }
      for (const int times : seen) REQUIRE(times == 1);
    }
}

TEST_CASE("permutation: sizes beyond any array are walked too") {
  for (const std::uint64_t n : {(std::uint64_t{1} << 40) + 5, ~std::uint64_t{0}}) {
    const dtask::permutation order(n, 9);
    for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{1}, n / 2, n - 1}) CHECK(order[at] < n);
    CHECK(order[0] != order[1]);
  }
}

TEST_CASE("permutation: the values are pinned, since checkpoints rely on them") {
  CHECK(all_of(dtask::permutation(10, 1, 0)) == std::vector<std::uint64_t>{9, 7, 2, 4, 1, 5, 6, 3, 0, 8});
  CHECK(all_of(dtask::permutation(10, 1, 1)) == std::vector<std::uint64_t>{9, 5, 1, 2, 0, 8, 3, 7, 4, 6});
  const dtask::permutation large(60000, 42, 7);
  CHECK(large[0] == 59200);
  CHECK(large[59999] == 35389);
  CHECK(dtask::permutation(std::uint64_t{1} << 50, 42, 7)[123456789] == 48970211371860);
}

TEST_CASE("permutation: places, neighbours and keys look like chance") {
  // Where one number lands over many epochs, and what follows a number. The bounds are those of chi square with 99
  // degrees of freedom at one in a million.
  constexpr int n = 100, epochs = 20000;
  for (const std::uint64_t watched : {0U, 57U}) {
    std::vector<int> places(n, 0), steps(n, 0);
    for (int e = 0; e < epochs; ++e) {
      const dtask::permutation order(n, 5, static_cast<std::uint64_t>(e));
      for (std::uint64_t i = 0; i < n; ++i)
        if (order[i] == watched) ++places[i];
      ++steps[(order[watched + 1] + n - order[watched]) % n];
    }
    CHECK(chi_square(places, epochs / double{n}) < 180);
    CHECK(steps[0] == 0);
    steps.erase(steps.begin());
    CHECK(chi_square(steps, epochs / double{n - 1}) < 180);
  }
  // All 24 orders of four come equally often, though their halves have one bit.
  std::vector<int> orders(256, 0);
  for (std::uint64_t e = 0; e < 24000; ++e) {
    std::uint64_t code = 0;
    for (const std::uint64_t x : all_of(dtask::permutation(4, 5, e))) code = code * 4 + x;
    ++orders[code];
  }
  std::erase(orders, 0);
  CHECK(orders.size() == 24);
  CHECK(chi_square(orders, 1000) < 70);
  // Two keys agree about as often as two orders drawn by lot: once on average, whatever the size.
  int same = 0;
  for (std::uint64_t e = 0; e < 400; ++e) {
    const dtask::permutation a(1000, 11, e), b(1000, 11, e + 1);
    for (std::uint64_t i = 0; i < 1000; ++i) same += a[i] == b[i];
  }
  CHECK(same > 300);
  CHECK(same < 500);
}
