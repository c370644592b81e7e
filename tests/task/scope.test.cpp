// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/scope.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<> add_after(dtask::duration d, int& sum, int v) {
  int& total = sum;
  co_await dtask::sleep_for(d);
  total += v;
}
dtask::task<int> joins(dtask::scope& s, int& sum) {
  for (int i = 1; i <= 4; ++i) dtask::spawn(s, &add_after, dtask::duration(1s), std::ref(sum), i);
  co_await s.join();
  co_return sum;
}
dtask::task<int> leaves(dtask::scope& s, int& sum) {
  dtask::spawn(s, &add_after, dtask::duration(1h), std::ref(sum), 1);
  co_return 5;
}
dtask::task<> body_throws(dtask::scope& s, int& sum) {
  dtask::spawn(s, &add_after, dtask::duration(1h), std::ref(sum), 1);
  throw std::string("body");
  co_return;
}
dtask::task<> child_throws(dtask::scope& s, bool& body_stopped) {
  const auto child = [](std::unique_ptr<int> p) -> dtask::task<> {
    co_await dtask::sleep_for(1s);
    throw *p;
  };
  dtask::spawn(s, child, std::make_unique<int>(7));
  try {
    co_await dtask::sleep_until(dtask::never);
  } catch (const dtask::error&) {
    body_stopped = true;
    throw;
  }
}
}  // namespace

TEST_CASE("join waits for all children, and captures live in the child's frame") {
  manual_scheduler where;
  int sum = 0;
  started t(where, dtask::with_scope(joins, std::ref(sum)));
  where.run();
  CHECK_FALSE(t.ended());
  where.advance(1100ms);
  CHECK(t.take() == 10);
}

TEST_CASE("returning stops and joins the children") {
  manual_scheduler where;
  int sum = 0;
  started t(where, dtask::with_scope(leaves, std::ref(sum)));
  where.run();
  CHECK(t.take() == 5);
  CHECK(sum == 0);
  CHECK(where.timers() == 0);
}

TEST_CASE("an exception of the body stops and joins the children") {
  manual_scheduler where;
  int sum = 0;
  started t(where, dtask::with_scope(body_throws, std::ref(sum)));
  where.run();
  REQUIRE(t.ended());
  CHECK_THROWS_AS(t.take(), std::string);
  CHECK(where.timers() == 0);
}

TEST_CASE("a child that fails stops the body, and its failure is thrown") {
  manual_scheduler where;
  bool stopped = false;
  started t(where, dtask::with_scope(child_throws, std::ref(stopped)));
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(stopped);
  CHECK_THROWS_AS(t.take(), int);
}

TEST_CASE("stop from above ends the body and the children") {
  manual_scheduler where;
  dtask::stop_source stop;
  int sum = 0;
  started t(where, dtask::with_scope(joins, std::ref(sum)), stop);
  where.run();
  stop.request_stop();
  where.run();
  REQUIRE(t.ended());
  CHECK(sum == 0);
  CHECK(where.timers() == 0);
}

TEST_CASE("a bare scope is closed by its owner and refuses children afterwards") {
  manual_scheduler where;
  dtask::scope s(where);
  int sum = 0;
  dtask::spawn(s, &add_after, dtask::duration(1h), std::ref(sum), 1);
  where.run();
  CHECK(s.children() == 1);
  const auto close = [](dtask::scope& which) -> dtask::task<> {
    dtask::scope& same = which;
    co_await same.close();
  };
  started t(where, close(s));
  where.run();
  CHECK(t.ended());
  CHECK(s.children() == 0);
  CHECK(cause_of([&] { dtask::spawn(s, &add_after, dtask::duration(1s), std::ref(sum), 1); }) == dtask::errc::closed);
}
