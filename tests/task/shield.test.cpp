// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/shield.hpp"

#include <doctest/doctest.h>

#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<> clean_up(bool& done) {
  bool& flag = done;
  co_await dtask::sleep_for(1s);
  flag = true;
}
dtask::task<> body(bool& done) {
  bool stopped = false;
  try {
    co_await dtask::sleep_until(dtask::never);
  } catch (const dtask::error&) {
    stopped = true;
  }
  if (stopped) co_await dtask::shield(clean_up(done));
  co_await dtask::sleep_for(0s);
}
dtask::task<> under(dtask::stop_source& s) {
  dtask::stop_source& source = s;
  co_await dtask::with_stop(source, dtask::sleep_until(dtask::never));
}
}  // namespace

TEST_CASE("clean-up runs under a shield after stop; afterwards stop is back") {
  manual_scheduler where;
  dtask::stop_source stop;
  bool done = false;
  started t(where, body(done), stop);
  where.run();
  stop.request_stop();
  where.run();
  CHECK_FALSE(t.ended());
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(done);
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::cancelled);
}

TEST_CASE("with_stop puts another source in place") {
  manual_scheduler where;
  dtask::stop_source own;
  started t(where, under(own));
  where.run();
  CHECK_FALSE(t.ended());
  own.request_stop();
  where.run();
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::cancelled);
}
