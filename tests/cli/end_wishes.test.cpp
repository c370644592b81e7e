// SPDX-License-Identifier: BSL-1.0
#include "dtask/cli/detail/end_wishes.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace std::chrono_literals;

TEST_CASE("end wishes: signals within 500 ms of the first are one wish, however many and whatever the clock shows") {
  for (const auto zero : {0s, 1s, 1'000'000s}) {
    dtask::detail::end_wishes wishes;
    const dtask::detail::end_wishes::clock::time_point start(zero);
    CHECK(wishes.heard(start) == 1);
    CHECK(wishes.heard(start) == 0);
    CHECK(wishes.heard(start + 3us) == 0);
    CHECK(wishes.heard(start + 499ms) == 0);
    CHECK(wishes.heard(start + 500ms) == 2);
    CHECK(wishes.heard(start + 500ms) == 0);
    CHECK(wishes.heard(start + 999ms) == 0);
    CHECK(wishes.heard(start + 1h) == 3);
    CHECK(wishes.heard(start + 1h + 1ms) == 0);
  }
}

TEST_CASE("end wishes: whoever signals all the time is heard again after 500 ms") {
  dtask::detail::end_wishes wishes;
  unsigned last = 0;
  for (auto at = 0ms; at < 2s; at += 100ms)
    if (const unsigned wish = wishes.heard(dtask::detail::end_wishes::clock::time_point(at))) last = wish;
  CHECK(last == 4);
}
