// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/detail/adaptive_wait.hpp"

#include <doctest/doctest.h>

#include <chrono>

using dtask::detail::adaptive_wait;
using namespace std::chrono_literals;

namespace {
const dtask::time_point start = dtask::time_point(1h);
}

TEST_CASE("where events come close to each other, the thread looks for about two waits") {
  adaptive_wait w(50us);
  for (int i = 0; i < 50; ++i) w.waited(8us);
  const dtask::duration window = w.window(start);
  CHECK(window >= 15us);
  CHECK(window <= 20us);
}

TEST_CASE("where they do not, it sleeps at once and tries now and then") {
  adaptive_wait w(50us);
  for (int i = 0; i < 50; ++i) w.waited(10ms);
  int looks = 0;
  for (int i = 0; i < 160; ++i) looks += w.window(start) != dtask::duration::zero();
  CHECK(looks == 10);
}

TEST_CASE("one successful try is the beginning of the way back") {
  adaptive_wait w(50us);
  for (int i = 0; i < 50; ++i) w.waited(10ms);
  int tries = 0;
  while (w.window(start) == dtask::duration::zero()) REQUIRE(++tries < 100);
  for (int i = 0; i < 8; ++i) w.waited(8us);
  CHECK(w.window(start) > dtask::duration::zero());
}

TEST_CASE("a thread without a core of its own stops looking, each time for longer") {
  adaptive_wait w(50us);
  w.waited(8us);
  w.looked(3us, start);
  CHECK(w.window(start) > dtask::duration::zero());
  w.looked(2ms, start);
  CHECK(w.window(start) == dtask::duration::zero());
  CHECK(w.window(start + 1ms) > dtask::duration::zero());
  w.looked(2ms, start + 1ms);
  CHECK(w.window(start + 2ms) == dtask::duration::zero());
  CHECK(w.window(start + 3ms) > dtask::duration::zero());
  // After a long quiet time it is as patient as at first.
  w.looked(2ms, start + 10s);
  CHECK(w.window(start + 10s + 1ms) > dtask::duration::zero());
}
