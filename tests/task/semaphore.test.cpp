// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/semaphore.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <stdexcept>
#include <utility>

#include "dtask/task/event.hpp"
#include "dtask/task/select.hpp"
#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<> take(dtask::semaphore& s, int& order, int& mine) {
  int& counter = order;
  co_await s.acquire();
  mine = ++counter;
}
dtask::task<> work(dtask::semaphore& s, int& inside, int& most) {
  auto held = co_await s.scoped_acquire();
  ++inside;
  if (inside > most) most = inside;
  co_await dtask::sleep_for(1ms);
  --inside;
}
dtask::task<> fail(dtask::semaphore& s) {
  const auto held = co_await s.scoped_acquire();
  throw std::runtime_error("while it holds one");
}
dtask::task<std::size_t> take_or_wait(dtask::semaphore& s, dtask::event& e) {
  auto first = co_await dtask::select(s.scoped_acquire(), e.wait());
  co_return first.index();
}
}  // namespace

TEST_CASE("permits go to waiters in the order in which they came") {
  manual_scheduler where;
  dtask::semaphore s(1);
  int order = 0, a = 0, b = 0, c = 0;
  started ta(where, take(s, order, a));
  started tb(where, take(s, order, b));
  started tc(where, take(s, order, c));
  where.run();
  CHECK(a == 1);
  CHECK(b == 0);
  CHECK_FALSE(s.try_acquire());
  s.release();
  CHECK_FALSE(s.try_acquire());  // it belongs to b already
  where.run();
  CHECK(b == 2);
  s.release(2);
  where.run();
  CHECK(c == 3);
  CHECK(s.available() == 1);
  CHECK(s.try_acquire());
}

TEST_CASE("a guard holds one permit, across awaits, until it dies") {
  manual_scheduler where;
  dtask::semaphore s(2);
  int inside = 0, most = 0;
  started a(where, work(s, inside, most));
  started b(where, work(s, inside, most));
  started c(where, work(s, inside, most));
  where.run();
  CHECK(inside == 2);
  CHECK_FALSE(static_cast<bool>(s.try_scoped_acquire()));
  for (int i = 0; i < 10; ++i) where.advance(2ms);
  CHECK((a.ended() && b.ended() && c.ended()));
  CHECK(most == 2);
  CHECK(s.available() == 2);
  started failing(where, fail(s));
  where.run();
  CHECK_THROWS_AS(failing.take(), std::runtime_error);
  CHECK(s.available() == 2);
}

TEST_CASE("a guard is moved, released once, and may be empty") {
  dtask::semaphore s(2);
  dtask::semaphore::guard none;
  CHECK_FALSE(static_cast<bool>(none));
  none.release();
  auto one = s.try_scoped_acquire();
  CHECK(static_cast<bool>(one));
  CHECK(s.available() == 1);
  auto moved = std::move(one);
  CHECK(static_cast<bool>(moved));
  CHECK_FALSE(static_cast<bool>(one));
  one.release();
  CHECK(s.available() == 1);
  auto other = s.try_scoped_acquire();
  CHECK(s.available() == 0);
  moved = std::move(other);  // what it held is given back
  CHECK(s.available() == 1);
  moved.release();
  moved.release();
  CHECK(s.available() == 2);
}

TEST_CASE("a stopped waiter for a guard neither holds a permit nor blocks one") {
  manual_scheduler where;
  dtask::semaphore s(1);
  int inside = 0, most = 0;
  dtask::stop_source stop;
  auto held = s.try_scoped_acquire();
  started stopped(where, work(s, inside, most), stop);
  started waits(where, work(s, inside, most));
  where.run();
  stop.request_stop();
  held.release();
  for (int i = 0; i < 5; ++i) where.advance(2ms);
  CHECK(cause_of([&] { stopped.take(); }) == dtask::errc::cancelled);
  CHECK(waits.ended());
  CHECK(most == 1);
  CHECK(s.available() == 1);
}

TEST_CASE("select takes a permit with a guard, or none") {
  manual_scheduler where;
  dtask::semaphore s(1);
  dtask::event e;
  started takes(where, take_or_wait(s, e));
  where.run();
  CHECK(takes.take() == 0);
  CHECK(s.available() == 1);
  auto held = s.try_scoped_acquire();
  started waits(where, take_or_wait(s, e));
  where.run();
  e.set();
  where.run();
  CHECK(waits.take() == 1);
  held.release();
  CHECK(s.available() == 1);
}
