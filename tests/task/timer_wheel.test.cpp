// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/parts/timer_wheel.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

using dtask::duration;
using dtask::time_point;
using dtask::timer;
using wheel_type = dtask::detail::timer_wheel;
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
  wheel.arm(a, start + 10ms);
  wheel.arm(b, start + 5ms);
  wheel.arm(c, start + 10ms);
  CHECK(wheel.size() == 3);
  CHECK(due(wheel, start + 4ms).empty());
  CHECK(due(wheel, start + 5ms + wheel_type::tick) == std::vector<timer*>{&b});
  CHECK(due(wheel, start + 9ms).empty());
  CHECK(due(wheel, start + 10ms + wheel_type::tick) == std::vector<timer*>{&a, &c});
  CHECK(wheel.size() == 0);
  CHECK(wheel.next_expiry() == dtask::never);
}

TEST_CASE("a cancelled timer does not expire; one that is due can still be cancelled") {
  const time_point start(1h);
  wheel_type wheel(start);
  timer a, b;
  wheel.arm(a, start + 1s);
  CHECK(wheel.cancel(a));
  CHECK_FALSE(wheel.cancel(a));
  wheel.arm(a, start - 1s);
  wheel.arm(b, start - 1s);
  CHECK(wheel.cancel(b));
  CHECK(due(wheel, start) == std::vector<timer*>{&a});
}

TEST_CASE("random timers against a plain list") {
  for (const std::uint32_t seed : {1u, 2u, 3u, 4u, 5u}) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    time_point now(1000h);
    wheel_type wheel(now);
    std::vector<timer> timers(300);
    for (int step = 0; step < 3000; ++step) {
      timer& t = timers[random() % timers.size()];
      const auto choice = random() % 4;
      if (choice < 2 && t.slot < 0) {
        // From nanoseconds to beyond the wheel's reach.
        const auto bits = random() % 62;
        const auto far = static_cast<std::int64_t>((static_cast<std::uint64_t>(random()) << 32 | random()) &
                                                   ((std::uint64_t{1} << bits) - 1));
        wheel.arm(t, now + duration(far));
      } else if (choice == 2) {
        const bool armed = t.slot >= 0;
        CHECK(wheel.cancel(t) == armed);
      } else {
        const auto bits = random() % 45;
        const time_point before = now;
        now += duration(static_cast<std::int64_t>((static_cast<std::uint64_t>(random()) << 32 | random()) &
                                                  ((std::uint64_t{1} << bits) - 1)));
        const time_point next = wheel.next_expiry();
        const auto expired = due(wheel, now);
        for (const timer* e : expired) CHECK(e->at <= now);
        // Whatever is still armed has not come by more than a tick.
        for (const timer& other : timers) {
          if (other.slot >= 0) CHECK(other.at > now - wheel_type::tick);
        }
        if (!expired.empty()) CHECK((next <= now || before == now));
      }
    }
  }
}
