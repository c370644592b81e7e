// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/event.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "manual_scheduler.hpp"

using namespace dtask_test;

namespace {
dtask::task<int> after(dtask::event& e) {
  const int done = 1;
  co_await e.wait();
  co_return done;
}
}  // namespace

TEST_CASE("an event stays set until it is reset") {
  manual_scheduler where;
  dtask::event e;
  started first(where, after(e));
  where.run();
  CHECK_FALSE(first.ended());
  e.set();
  where.run();
  CHECK(first.ended());
  CHECK(e.is_set());
  started second(where, after(e));
  where.run();
  CHECK(second.ended());
  e.reset();
  started third(where, after(e));
  where.run();
  CHECK_FALSE(third.ended());
  e.set();
  where.run();
  CHECK(third.ended());
}

TEST_CASE("an event is set from another thread") {
  for (int round = 0; round < 50; ++round) {
    dtask::event e;
    std::thread other([&] { e.set(); });
    CHECK(bounded(after(e)) == 1);
    other.join();
  }
}
