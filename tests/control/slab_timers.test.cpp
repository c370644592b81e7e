// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/slab_timers.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "dtask/task/parts/timer_wheel.hpp"

namespace {
using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;
struct item {
  std::uint32_t generation = 0;
  timer_node timer;
};
using wheel = slab_timers<item, &item::timer>;
}  // namespace

TEST_CASE("a timer fires at its time or up to a millisecond later, never earlier") {
  const time_point origin{1234567ns};
  slab<item> table;
  wheel timers(table, origin);
  CHECK(timers.next_time() == never);
  const std::uint32_t a = table.insert();
  for (const duration after : {duration(1ns), duration(1ms), duration(63ms), duration(64ms), duration(65ms),
                               duration(4095ms), duration(4096ms), duration(1h), duration(100 * 24h)}) {
    slab<item> fresh;
    wheel w(fresh, origin);
    const std::uint32_t slot = fresh.insert();
    w.arm(slot, origin + after);
    int fired = 0;
    // Driven by next_time alone, as a driver would.
    time_point now = origin;
    for (int i = 0; i < 100 && fired == 0; ++i) {
      now = w.next_time();
      CHECK(now != never);
      w.advance(now, [&](std::uint32_t s) {
        CHECK(s == slot);
        ++fired;
      });
    }
    CHECK(fired == 1);
    CHECK(now >= origin + after);
    CHECK(now <= origin + after + 1ms);
  }
  timers.arm(a, never);
  CHECK(timers.next_time() == never);
  timers.arm(a, origin + 5s);
  timers.disarm(a);
  timers.disarm(a);
  CHECK(timers.next_time() == never);
}

TEST_CASE("a timer may be set from inside another's, also for now") {
  const time_point origin{};
  slab<item> table;
  wheel timers(table, origin);
  const std::uint32_t a = table.insert(), b = table.insert();
  timers.arm(a, origin + 10ms);
  std::vector<std::uint32_t> fired;
  timers.advance(origin + 10ms, [&](std::uint32_t s) {
    fired.push_back(s);
    timers.arm(b, origin + 1ms);
  });
  CHECK(fired == std::vector<std::uint32_t>{a});
  timers.advance(origin + 11ms, [&](std::uint32_t s) { fired.push_back(s); });
  CHECK(fired == std::vector<std::uint32_t>{a, b});
}

TEST_CASE("of those of one tick the newest comes first") {
  slab<item> table;
  wheel timers(table, time_point{});
  const std::uint32_t a = table.insert(), b = table.insert(), c = table.insert();
  for (const std::uint32_t slot : {a, b, c}) timers.arm(slot, time_point(10ms));
  std::vector<std::uint32_t> fired;
  timers.advance(time_point(10ms), [&](std::uint32_t s) { fired.push_back(s); });
  CHECK(fired == std::vector<std::uint32_t>{c, b, a});
}

// ---- the wheel with both kinds of links, against a list that is looked through ----

namespace {
constexpr std::size_t records = 60;
const time_point origin(1000h);

/// Links that are pointers, as schedulers have them.
struct pointers {
  static constexpr duration tick = detail::timer_links::tick;
  static constexpr unsigned soonest = 0;
  static constexpr bool oldest_first = true;
  void arm(std::size_t which, time_point at) { wheel.arm(&timers[which], at); }
  bool disarm(std::size_t which) { return wheel.disarm(&timers[which]); }
  template <class Fire>
  void advance(time_point now, Fire fire) {
    while (timer* const t = wheel.advance(now)) fire(static_cast<std::size_t>(t - timers.data()));
  }
  time_point next_time() const { return wheel.next_time(); }
  std::vector<timer> timers = std::vector<timer>(records);
  detail::timer_wheel<detail::timer_links> wheel{origin, {}, origin};
};
/// Links that are slots.
struct slots {
  static constexpr duration tick = 1ms;
  static constexpr unsigned soonest = 1;
  static constexpr bool oldest_first = false;
  slots() {
    for (std::size_t i = 0; i < records; ++i) table.insert();
  }
  void arm(std::size_t which, time_point at) { timers.arm(static_cast<std::uint32_t>(which), at); }
  bool disarm(std::size_t which) {
    const bool armed = table[static_cast<std::uint32_t>(which)].timer.armed();
    timers.disarm(static_cast<std::uint32_t>(which));
    return armed;
  }
  template <class Fire>
  void advance(time_point now, Fire fire) {
    timers.advance(now, fire);
  }
  time_point next_time() const { return timers.next_time(); }
  slab<item> table;
  wheel timers{table, origin};
};

/// What a wheel should do, told without one: a timer's tick and when it was armed.
struct plain_timer {
  std::int64_t tick = -1;
  std::uint64_t number = 0;
};
}  // namespace

TEST_CASE_TEMPLATE("random timers against a plain list", Wheel, pointers, slots) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto any = [&](unsigned most_bits) {  // of any magnitude
      return duration(static_cast<std::int64_t>(random() & ((std::uint64_t{1} << random() % most_bits) - 1)));
    };
    Wheel wheel;
    std::vector<plain_timer> plain(records);
    std::int64_t here = 0;
    std::uint64_t number = 0;
    time_point now = origin;
    const auto arm = [&](std::size_t which, time_point at) {
      wheel.arm(which, at);
      const std::int64_t tick = at <= origin ? 0 : ((at - origin) + Wheel::tick - 1ns) / Wheel::tick;
      plain[which] = {std::max(tick, here + Wheel::soonest), ++number};
    };
    for (int step = 0; step < 3000; ++step) {
      const std::size_t which = random() % records;
      const auto choice = random() % 8;
      if (choice < 3) {
        arm(which, now + any(61));
      } else if (choice == 3) {  // in company, for the order within a tick
        for (std::size_t i = 0; i < 4; ++i) arm((which + i) % records, now + 70ms);
      } else if (choice == 4) {
        arm(which, now - any(40));
      } else if (choice == 5) {
        REQUIRE(wheel.disarm(which) == (plain[which].tick >= 0));
        plain[which].tick = -1;
      } else {
        const time_point next = wheel.next_time();
        now = choice == 6 || next == never ? now + any(42) : std::max(now, next);
        const std::int64_t target = (now - origin) / Wheel::tick;
        wheel.advance(now, [&](std::size_t fired) {
          const plain_timer was = plain[fired];
          REQUIRE(was.tick >= here);
          REQUIRE(was.tick <= target);
          here = was.tick;
          for (const plain_timer& other : plain) {
            if (other.tick < 0) continue;
            REQUIRE(other.tick >= was.tick);
            if (Wheel::oldest_first && other.tick == was.tick) REQUIRE(other.number >= was.number);
          }
          plain[fired].tick = -1;
          // From inside: again, for the past, and another one away.
          if (random() % 8 == 0) arm(fired, now - (Wheel::soonest == 0 ? -1s : any(30)));
          const std::size_t third = random() % records;
          if (random() % 8 == 0) {
            REQUIRE(wheel.disarm(third) == (plain[third].tick >= 0));
            plain[third].tick = -1;
          }
        });
        here = std::max(here, target);
      }
      std::int64_t first = -1;
      for (const plain_timer& each : plain)
        if (each.tick >= 0 && (first < 0 || each.tick < first)) first = each.tick;
      const time_point next = wheel.next_time();
      if (first < 0)
        REQUIRE(next == never);
      else
        REQUIRE((next <= origin + first * Wheel::tick && next >= origin + here * Wheel::tick));
    }
  }
}
