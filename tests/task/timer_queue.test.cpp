// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/parts/timer_queue.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

using dtask::duration;
using dtask::time_point;
using dtask::timer;
using dtask::detail::timer_queue;
using namespace std::chrono_literals;

namespace {
std::vector<timer*> due(timer_queue& queue, time_point now) {
  std::vector<timer*> list;
  while (timer* t = queue.advance(now)) list.push_back(t);
  return list;
}
}  // namespace

TEST_CASE("timers expire at their time, in order, within one tick") {
  const time_point start(1h);
  timer_queue queue(start);
  timer a, b, c;
  queue.arm(a, start + 10ms);
  queue.arm(b, start + 5ms);
  queue.arm(c, start + 10ms);
  CHECK(queue.size() == 3);
  CHECK(due(queue, start + 4ms).empty());
  CHECK(due(queue, start + 5ms + timer_queue::tick) == std::vector<timer*>{&b});
  CHECK(due(queue, start + 9ms).empty());
  CHECK(due(queue, start + 10ms + timer_queue::tick) == std::vector<timer*>{&a, &c});
  CHECK(queue.size() == 0);
  CHECK(queue.next_expiry() == dtask::never);
}

TEST_CASE("a cancelled timer does not expire; one that is due can still be cancelled") {
  const time_point start(1h);
  timer_queue queue(start);
  timer a, b;
  queue.arm(a, start + 1s);
  CHECK(queue.cancel(a));
  CHECK_FALSE(queue.cancel(a));
  queue.arm(a, start - 1s);
  queue.arm(b, start - 1s);
  CHECK(queue.cancel(b));
  CHECK(due(queue, start) == std::vector<timer*>{&a});
}

TEST_CASE("random timers against a plain list") {
  for (const std::uint32_t seed : {1u, 2u, 3u, 4u, 5u}) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    time_point now(1000h);
    timer_queue queue(now);
    std::vector<timer> timers(300);
    for (int step = 0; step < 3000; ++step) {
      timer& t = timers[random() % timers.size()];
      const auto choice = random() % 4;
      if (choice < 2 && t.slot < 0) {
        // From nanoseconds to beyond the queue's reach.
        const auto bits = random() % 62;
        const auto far = static_cast<std::int64_t>((static_cast<std::uint64_t>(random()) << 32 | random()) &
                                                   ((std::uint64_t{1} << bits) - 1));
        queue.arm(t, now + duration(far));
      } else if (choice == 2) {
        const bool armed = t.slot >= 0;
        CHECK(queue.cancel(t) == armed);
      } else {
        const auto bits = random() % 45;
        const time_point before = now;
        now += duration(static_cast<std::int64_t>((static_cast<std::uint64_t>(random()) << 32 | random()) &
                                                  ((std::uint64_t{1} << bits) - 1)));
        const time_point next = queue.next_expiry();
        const auto expired = due(queue, now);
        for (const timer* e : expired) CHECK(e->at <= now);
        // Whatever is still armed has not come by more than a tick.
        for (const timer& other : timers) {
          if (other.slot >= 0) CHECK(other.at > now - timer_queue::tick);
        }
        if (!expired.empty()) CHECK((next <= now || before == now));
      }
    }
  }
}
