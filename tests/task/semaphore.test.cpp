// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/semaphore.hpp"

#include <doctest/doctest.h>

#include "manual_scheduler.hpp"

using namespace dtask_test;

namespace {
dtask::task<> take(dtask::semaphore& s, int& order, int& mine) {
  int& counter = order;
  co_await s.acquire();
  mine = ++counter;
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
