// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/timer_wheel.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <vector>

namespace {
using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;
struct item {
  std::uint32_t generation = 0;
  timer_node timer;
};
using wheel = timer_wheel<item, &item::timer>;
}  // namespace

TEST_CASE("a timer fires at its time or up to a millisecond later, never earlier") {
  const time_point origin{1234567ns};
  slab<item> table;
  wheel timers(origin);
  CHECK(timers.next_time() == never);
  const std::uint32_t a = table.insert();
  for (const duration after : {duration(1ns), duration(1ms), duration(63ms), duration(64ms), duration(65ms),
                               duration(4095ms), duration(4096ms), duration(1h), duration(100 * 24h)}) {
    slab<item> fresh;
    wheel w(origin);
    const std::uint32_t slot = fresh.insert();
    w.arm(fresh, slot, origin + after);
    int fired = 0;
    // Driven by next_time alone, as a driver would.
    time_point now = origin;
    for (int i = 0; i < 100 && fired == 0; ++i) {
      now = w.next_time();
      CHECK(now != never);
      w.advance(fresh, now, [&](std::uint32_t s) {
        CHECK(s == slot);
        ++fired;
      });
    }
    CHECK(fired == 1);
    CHECK(now >= origin + after);
    CHECK(now <= origin + after + 1ms);
  }
  timers.arm(table, a, never);
  CHECK(timers.next_time() == never);
  timers.arm(table, a, origin + 5s);
  timers.disarm(table, a);
  timers.disarm(table, a);
  CHECK(timers.next_time() == never);
}

TEST_CASE("a timer may be set from inside another's, also for now") {
  const time_point origin{};
  slab<item> table;
  wheel timers(origin);
  const std::uint32_t a = table.insert(), b = table.insert();
  timers.arm(table, a, origin + 10ms);
  std::vector<std::uint32_t> fired;
  timers.advance(table, origin + 10ms, [&](std::uint32_t s) {
    fired.push_back(s);
    timers.arm(table, b, origin + 1ms);
  });
  CHECK(fired == std::vector<std::uint32_t>{a});
  timers.advance(table, origin + 11ms, [&](std::uint32_t s) { fired.push_back(s); });
  CHECK(fired == std::vector<std::uint32_t>{a, b});
}

TEST_CASE("against a sorted map, over random sequences") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const time_point origin{};
    slab<item> table;
    wheel timers(origin);
    std::map<std::uint32_t, time_point> armed;
    std::vector<std::uint32_t> slots;
    for (int i = 0; i < 50; ++i) slots.push_back(table.insert());
    time_point now = origin;
    bool good = true;
    for (int step = 0; step < 2000 && good; ++step) {
      const std::uint32_t s = slots[random() % slots.size()];
      switch (random() % 3) {
        case 0: {
          const duration after = duration(static_cast<std::int64_t>(random() % (std::uint64_t{1} << (random() % 42))));
          timers.arm(table, s, now + after);
          armed[s] = now + after;
          break;
        }
        case 1:
          timers.disarm(table, s);
          armed.erase(s);
          break;
        default: {
          now += duration(static_cast<std::int64_t>(random() % (std::uint64_t{1} << (random() % 38))));
          timers.advance(table, now, [&](std::uint32_t f) {
            good = good && armed.contains(f) && armed[f] <= now;
            armed.erase(f);
          });
          for (const auto& [slot, at] : armed) good = good && at > now - 2ms && timers.next_time() <= at + 1ms;
        }
      }
    }
    CHECK(good);
  }
}
