// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/backoff.hpp"

#include <doctest/doctest.h>

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

TEST_CASE("backoff: at once, then doubling up to the most, each shortened by a quarter at most") {
  const std::uint64_t seed = 7;
  random_sequence random(seed);
  backoff pause(100ms, 1s);
  for (int turn = 0; turn < 50; ++turn) {
    CAPTURE(turn);
    CHECK(pause.next(random) == 0ms);
    for (const duration whole : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
      const duration got = pause.next(random);
      CHECK(got <= whole);
      CHECK(got >= whole - whole / 4);
    }
    pause.reset();
  }
}

TEST_CASE("backoff: peers that began together do not come back in step") {
  random_sequence one(1), other(2);
  backoff a(1s, 1s), b(1s, 1s);
  a.next(one), b.next(other);
  int together = 0;
  for (int i = 0; i < 100; ++i) together += a.next(one) == b.next(other);
  CHECK(together < 5);
}

TEST_CASE("backoff: a least pause above the most is the first pause alone") {
  random_sequence random(3);
  backoff pause(4s, 1s);
  CHECK(pause.next(random) == 0s);
  CHECK(pause.next(random) >= 3s);
  CHECK(pause.next(random) <= 1s);
}
