// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/speed.hpp"

#include <doctest/doctest.h>

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

TEST_CASE("speed: nothing is known before 10 ms of work") {
  const time_point t0{1h};
  speed pace;
  pace.begin(t0);
  for (int i = 1; i < 100; ++i) pace.done(t0 + i * 100us);
  CHECK(pace.within(1s) == 0);
  pace.done(t0 + 10ms);
  CHECK(pace.within(1s) == 10'000);
  CHECK(pace.within(5ms) == 50);
  CHECK(pace.within(0s) == 0);
}

TEST_CASE("speed: each interval counts as much as all before it, and idle time does not count") {
  const time_point t0{1h};
  speed pace;
  pace.begin(t0);
  for (int i = 1; i <= 100; ++i) pace.done(t0 + i * 1ms);  // ten intervals of 1,000 a second
  CHECK(pace.within(1s) == 1000);
  // An hour without work, then 500 a second: without a new beginning that would be next to nothing.
  const time_point t1 = t0 + 1h;
  pace.begin(t1);
  for (int i = 1; i <= 5; ++i) pace.done(t1 + i * 2ms);
  CHECK(pace.within(1s) == 750);
  for (int i = 6; i <= 10; ++i) pace.done(t1 + i * 2ms);
  CHECK(pace.within(1s) == 625);
}

TEST_CASE("speed: slow jobs round down to none, and no rate is beyond a million") {
  const time_point t0{1h};
  speed slow;
  slow.begin(t0);
  slow.done(t0 + 4s);
  CHECK(slow.within(3s) == 0);
  CHECK(slow.within(4s) == 1);
  speed quick;
  quick.begin(t0);
  for (int i = 0; i < 20'000; ++i) quick.done(t0 + 10ms);
  CHECK(quick.within(24h * 365) == 1'000'000);
}

TEST_CASE("speed: last heard of at the end of a job, or at its first") {
  const time_point t0{1h};
  speed pace;
  CHECK(pace.last() == time_point{});
  pace.begin(t0);
  CHECK(pace.last() == t0);
  pace.done(t0 + 3ms);
  CHECK(pace.last() == t0 + 3ms);
  pace.begin(t0 + 7ms);
  CHECK(pace.last() == t0 + 7ms);
}
