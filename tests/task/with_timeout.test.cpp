// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/with_timeout.hpp"

#include <doctest/doctest.h>

#include "dtask/task/shield.hpp"
#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<int> slow(dtask::duration d) {
  const int result = 5;
  co_await dtask::sleep_for(d);
  co_return result;
}
dtask::task<int> limited(dtask::duration work, dtask::duration limit) {
  const dtask::duration most = limit;
  co_return co_await dtask::with_timeout(slow(work), most);
}
dtask::task<dtask::duration> left() {
  const dtask::environment& env = co_await dtask::this_environment();
  co_return env.remaining();
}
dtask::task<dtask::duration> nested(dtask::duration outer, dtask::duration inner) {
  const dtask::duration limit = outer;
  co_return co_await dtask::with_timeout(dtask::with_timeout(left(), inner), limit);
}
dtask::task<int> stubborn() {
  const int result = 6;
  co_await dtask::shield(slow(10s));
  co_return result;
}
}  // namespace

TEST_CASE("in time the result arrives, and the timer is gone") {
  manual_scheduler where;
  started t(where, limited(1s, 2s));
  where.advance(1100ms);
  CHECK(t.take() == 5);
  CHECK(where.timers() == 0);
}

TEST_CASE("too late it ends with deadline_exceeded") {
  manual_scheduler where;
  started t(where, limited(2s, 1s));
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::deadline_exceeded);
  CHECK(where.timers() == 0);
  started none(where, limited(1s, 0s));
  where.run();
  CHECK(cause_of([&] { none.take(); }) == dtask::errc::deadline_exceeded);
}

TEST_CASE("the earlier of two deadlines counts and stands in the environment") {
  manual_scheduler where;
  started a(where, nested(1s, 2s));
  started b(where, nested(2s, 1s));
  where.run();
  CHECK(a.take() == dtask::duration(1s));
  CHECK(b.take() == dtask::duration(1s));
}

TEST_CASE("what ends well after the deadline counts") {
  manual_scheduler where;
  const auto body = []() -> dtask::task<int> {
    const dtask::duration limit = 1s;
    co_return co_await dtask::with_timeout(stubborn(), limit);
  };
  started t(where, body());
  where.advance(2s);
  CHECK_FALSE(t.ended());
  where.advance(10s);
  CHECK(t.take() == 6);
}
