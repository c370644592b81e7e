// SPDX-License-Identifier: BSL-1.0
#include "dtask/sim/virtual_scheduler.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <vector>

#include "dtask/task.hpp"

namespace sim = dtask::sim;
using namespace std::chrono_literals;

TEST_CASE("virtual_scheduler: time jumps from timer to timer, in order of time and then of arming") {
  sim::virtual_scheduler clock;
  const dtask::time_point start = clock.now();
  std::vector<int> order;
  clock.call_after(3s, [&] { order.push_back(3); });
  clock.call_after(1h, [&] { order.push_back(5); });
  clock.call_after(1s, [&] {
    order.push_back(1);
    clock.call_after(2s, [&] { order.push_back(4); });
    clock.call_after(0s, [&] { order.push_back(2); });
  });
  while (clock.step()) {
  }
  CHECK(order == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(clock.now() == start + 1h);
  CHECK(clock.next() == dtask::never);
}

TEST_CASE("virtual_scheduler: a cancelled timer never expires, whatever its place") {
  sim::virtual_scheduler clock;
  int rang = 0;
  std::vector<std::unique_ptr<sim::alarm>> alarms;
  for (int i = 0; i < 50; ++i) {
    alarms.push_back(std::make_unique<sim::alarm>(clock, [&] { ++rang; }));
    alarms.back()->set(clock.now() + std::chrono::milliseconds((i * 37) % 50));
  }
  for (std::size_t i = 0; i < alarms.size(); i += 2) alarms[i]->clear();
  dtask::time_point last = clock.now();
  bool ordered = true;
  while (clock.step()) {
    ordered = ordered && clock.now() >= last;
    last = clock.now();
  }
  CHECK(ordered);
  CHECK(rang == 25);
}

TEST_CASE("virtual_scheduler: run_until stops at its time and keeps the rest") {
  sim::virtual_scheduler clock;
  const dtask::time_point start = clock.now();
  int rang = 0;
  clock.call_after(1s, [&] { ++rang; });
  clock.call_after(3s, [&] { ++rang; });
  clock.run_until(start + 2s);
  CHECK(rang == 1);
  CHECK(clock.now() == start + 2s);
}

namespace {
dtask::task<int> sleeps_a_day() {
  int days = 1;
  co_await dtask::sleep_for(24h);
  co_return days;
}
dtask::task<int> waits_for_ever(dtask::event& never_set) {
  int unused = 0;
  co_await never_set.wait();
  co_return unused;
}
}  // namespace

TEST_CASE("virtual_scheduler: tasks sleep on virtual time") {
  sim::virtual_scheduler clock;
  const dtask::time_point start = clock.now();
  CHECK(clock.run(sleeps_a_day()) == 1);
  CHECK(clock.now() == start + 24h);
}

TEST_CASE("virtual_scheduler: a task that waits for nothing is an error, not a hang") {
  sim::virtual_scheduler clock;
  dtask::event never_set;
  dtask::stop_source stop;
  dtask::environment env;
  env.stop = &stop;
  CHECK_THROWS_AS(clock.run(waits_for_ever(never_set), env), dtask::error);
}
