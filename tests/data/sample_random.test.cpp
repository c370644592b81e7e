// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/sample_random.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

static_assert(std::uniform_random_bit_generator<dtask::sample_random>);

TEST_CASE("sample_random: the draws are pinned, since runs are repeated on other machines") {
  dtask::sample_random r(1, 2, 3);
  CHECK(r() == 420642889154346940U);
  CHECK(r() == 2998567184872442664U);
  CHECK(r.below(1000) == 375);
  CHECK(r.uniform() == 0x1.14ea81f591266p-2);
}

TEST_CASE("sample_random: seed, epoch and sample each count, and so does their order") {
  const auto first = [](std::uint64_t s, std::uint64_t e, std::uint64_t n) { return dtask::sample_random(s, e, n)(); };
  CHECK(first(1, 2, 3) == first(1, 2, 3));
  CHECK(first(1, 2, 3) != first(2, 2, 3));
  CHECK(first(1, 2, 3) != first(1, 3, 3));
  CHECK(first(1, 2, 3) != first(1, 2, 4));
  CHECK(first(1, 2, 3) != first(2, 1, 3));
  CHECK(first(1, 2, 3) != first(1, 3, 2));
  CHECK(dtask::sample_keys{1, 2}.of(3)() == first(1, 2, 3));
}

TEST_CASE("sample_random: neighbours in sample and in draw are spread evenly") {
  constexpr int cells = 64, draws = 64000;
  std::vector<int> by_sample(cells, 0), by_draw(cells, 0), pairs(cells, 0);
  dtask::sample_random one(3, 0, 0);
  for (std::uint64_t i = 0; i < draws; ++i) {
    ++by_sample[dtask::sample_random(3, 0, i).below(cells)];
    ++by_draw[one.below(cells)];
    // The first draw of one sample beside the second of the next.
    dtask::sample_random a(3, 0, i), b(3, 0, i + 1);
    b();
    ++pairs[a.below(8) * 8 + b.below(8)];
  }
  for (const auto* counts : {&by_sample, &by_draw, &pairs}) {
    double chi = 0;
    for (const int n : *counts) chi += (n - 1000.0) * (n - 1000.0) / 1000.0;
    CHECK(chi < 130);  // 63 degrees of freedom, one in a million
  }
}

TEST_CASE("sample_random: bounds hold") {
  dtask::sample_random r(4, 5, 6);
  int heads = 0;
  for (int i = 0; i < 10000; ++i) {
    REQUIRE(r.below(1) == 0);
    REQUIRE(r.below(7) < 7);
    REQUIRE(r.below((std::uint64_t{1} << 63) + 1) <= std::uint64_t{1} << 63);
    const double u = r.uniform(-2, 3);
    REQUIRE(u >= -2);
    REQUIRE(u < 3);
    heads += r.chance(0.25);
  }
  CHECK(heads > 2200);
  CHECK(heads < 2800);
  CHECK_FALSE(r.chance(0));
  CHECK(r.chance(1));
}
