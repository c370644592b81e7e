// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/sleep.hpp"

#include <doctest/doctest.h>

#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<> nap(dtask::duration d) {
  const dtask::duration length = d;
  co_await dtask::sleep_for(length);
}
dtask::task<> until(dtask::time_point at) {
  const dtask::time_point when = at;
  co_await dtask::sleep_until(when);
}
}  // namespace

TEST_CASE("sleeping takes the scheduler's time") {
  manual_scheduler where;
  started t(where, nap(1s));
  where.advance(900ms);
  CHECK_FALSE(t.ended());
  where.advance(200ms);
  CHECK(t.ended());
  started past(where, until(where.now() - 1s));
  where.advance(0s);
  CHECK(past.ended());
}

TEST_CASE("stop ends a sleep and takes its timer back") {
  manual_scheduler where;
  dtask::stop_source stop;
  started t(where, nap(1h), stop);
  started forever(where, until(dtask::never), stop);
  where.run();
  CHECK(where.timers() == 1);
  stop.request_stop(dtask::errc::deadline_exceeded);
  where.run();
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::deadline_exceeded);
  CHECK(cause_of([&] { forever.take(); }) == dtask::errc::deadline_exceeded);
  CHECK(where.timers() == 0);
}
