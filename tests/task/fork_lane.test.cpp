// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/parts/fork_lane.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "manual_scheduler.hpp"

namespace {
struct numbered : dtask::work_item {
  std::atomic<int> taken{0};
};
}  // namespace

TEST_CASE("the owner takes the newest, a thief the oldest, and the ring grows") {
  dtask::detail::deque d;
  std::vector<numbered> items(2000);
  for (auto& i : items) d.push(&i);
  CHECK_FALSE(d.looks_empty());
  CHECK(d.pop() == &items.back());
  CHECK(d.steal() == &items.front());
  for (std::size_t i = items.size() - 2; i >= 1; --i) CHECK(d.pop() == &items[i]);
  CHECK(d.pop() == nullptr);
  CHECK(d.steal() == nullptr);
  CHECK(d.looks_empty());
}

TEST_CASE("every item is taken exactly once by an owner and two thieves") {
  dtask::detail::deque d;
  std::vector<numbered> items(20000);
  std::atomic<bool> done{false};
  const auto thief = [&] {
    while (!done.load()) {
      if (auto* item = static_cast<numbered*>(d.steal())) ++item->taken;
    }
  };
  std::thread one(thief), two(thief);
  for (std::size_t i = 0; i < items.size(); ++i) {
    d.push(&items[i]);
    if (i % 3 == 0) {
      if (auto* item = static_cast<numbered*>(d.pop())) ++item->taken;
    }
  }
  while (auto* item = static_cast<numbered*>(d.pop())) ++item->taken;
  while (!d.looks_empty()) std::this_thread::yield();
  done = true;
  one.join();
  two.join();
  int wrong = 0;
  for (const auto& item : items) wrong += item.taken.load() != 1;
  CHECK(wrong == 0);
}

TEST_CASE("a lane wakes somebody only while a thread is idle") {
  dtask_test::manual_scheduler where;
  dtask::detail::fork_lane lane(where);
  std::atomic<unsigned> idle{0};
  static int woken = 0;
  woken = 0;
  lane.idle = &idle;
  lane.wake = [](dtask::detail::fork_lane&) noexcept { ++woken; };
  numbered a, b;
  lane.push(a);
  CHECK(woken == 0);
  idle = 1;
  lane.push(b);
  CHECK(woken == 1);
  CHECK(lane.pop() == &b);
  CHECK(lane.pop() == &a);
  CHECK(dtask::detail::lane_of(&where) == nullptr);
}
