// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/parts/timer_wheel.hpp"

#include <doctest/doctest.h>

#include <vector>

using dtask::time_point;
using dtask::timer;
using wheel_type = dtask::detail::timer_wheel<dtask::detail::timer_links>;
using namespace std::chrono_literals;

namespace {
std::vector<timer*> due(wheel_type& wheel, time_point now) {
  std::vector<timer*> list;
  while (timer* t = wheel.advance(now)) list.push_back(t);
  return list;
}
}  // namespace

TEST_CASE("timers expire at their time, in order, within one tick") {
  const time_point start(1h);
  wheel_type wheel(start);
  timer a, b, c;
  wheel.arm(&a, start + 10ms);
  wheel.arm(&b, start + 5ms);
  wheel.arm(&c, start + 10ms);
  CHECK_FALSE(wheel.empty());
  CHECK(due(wheel, start + 4ms).empty());
  CHECK(due(wheel, start + 5ms + wheel_type::tick) == std::vector<timer*>{&b});
  CHECK(due(wheel, start + 9ms).empty());
  CHECK(due(wheel, start + 10ms + wheel_type::tick) == std::vector<timer*>{&a, &c});
  CHECK(wheel.empty());
  CHECK(wheel.next_time() == dtask::never);
}

TEST_CASE("a disarmed timer does not expire; one that is due can still be disarmed") {
  const time_point start(1h);
  wheel_type wheel(start);
  timer a, b;
  wheel.arm(&a, start + 1s);
  CHECK(wheel.disarm(&a));
  CHECK_FALSE(wheel.disarm(&a));
  wheel.arm(&a, start - 1s);
  wheel.arm(&b, start - 1s);
  CHECK(wheel.disarm(&b));
  CHECK(due(wheel, start) == std::vector<timer*>{&a});
}

TEST_CASE("a timer that is armed again expires once, at its new time") {
  const time_point start(1h);
  wheel_type wheel(start);
  timer a, b;
  wheel.arm(&a, start + 10ms);
  wheel.arm(&b, start + 10ms);
  wheel.arm(&a, start + 1h);
  CHECK(due(wheel, start + 1min) == std::vector<timer*>{&b});
  CHECK(due(wheel, start + 2h) == std::vector<timer*>{&a});
}

TEST_CASE("what is armed for the past is due at once, or a tick later where that is asked for") {
  const time_point start(1h);
  wheel_type wheel(start, {}, start);
  timer a, b;
  wheel.arm(&a, start - 1s);
  wheel.arm(&b, start - 1s, 1);
  CHECK(wheel.next_time() == start);
  CHECK(due(wheel, start) == std::vector<timer*>{&a});
  CHECK(wheel.next_time() == start + wheel_type::tick);
  CHECK(due(wheel, start + wheel_type::tick) == std::vector<timer*>{&b});
}

TEST_CASE("the end of time can be waited for") {
  const time_point start(1h);
  wheel_type wheel(start);
  timer a;
  wheel.arm(&a, dtask::never);
  CHECK_FALSE(wheel.empty());
  for (time_point next = wheel.next_time(); next != dtask::never; next = wheel.next_time()) {
    REQUIRE(next > start);
    CHECK(due(wheel, next).empty());
  }
  CHECK(wheel.disarm(&a));
  CHECK(wheel.empty());
}
