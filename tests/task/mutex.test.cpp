// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/mutex.hpp"

#include <doctest/doctest.h>

#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<> add(dtask::mutex& m, int& shared, int& most, int& inside) {
  auto held = co_await m.lock();
  ++inside;
  if (inside > most) most = inside;
  const int seen = shared;
  co_await dtask::sleep_for(1ms);
  shared = seen + 1;
  --inside;
}
}  // namespace

TEST_CASE("one at a time, across awaits") {
  manual_scheduler where;
  dtask::mutex m;
  int shared = 0, most = 0, inside = 0;
  started a(where, add(m, shared, most, inside));
  started b(where, add(m, shared, most, inside));
  started c(where, add(m, shared, most, inside));
  where.run();
  CHECK_FALSE(static_cast<bool>(m.try_lock()));
  for (int i = 0; i < 10; ++i) where.advance(2ms);
  CHECK((a.ended() && b.ended() && c.ended()));
  CHECK(shared == 3);
  CHECK(most == 1);
  auto held = m.try_lock();
  CHECK(static_cast<bool>(held));
  held.unlock();
  CHECK(static_cast<bool>(m.try_lock()));
}

TEST_CASE("a stopped waiter neither holds nor blocks the mutex") {
  manual_scheduler where;
  dtask::mutex m;
  int shared = 0, most = 0, inside = 0;
  dtask::stop_source stop;
  auto held = m.try_lock();
  started stopped(where, add(m, shared, most, inside), stop);
  started waits(where, add(m, shared, most, inside));
  where.run();
  stop.request_stop();
  held.unlock();
  for (int i = 0; i < 5; ++i) where.advance(2ms);
  CHECK(cause_of([&] { stopped.take(); }) == dtask::errc::cancelled);
  CHECK(waits.ended());
  CHECK(shared == 1);
}
