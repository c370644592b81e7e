// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/resume_on.hpp"

#include <doctest/doctest.h>

#include "dtask/task/sleep.hpp"
#include "dtask/task/when_all.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<dtask::scheduler*> where_am_i() {
  const dtask::environment& env = co_await dtask::this_environment();
  co_return env.where;
}
dtask::task<dtask::scheduler*> moves(dtask::scheduler& to) {
  dtask::scheduler& target = to;
  co_await dtask::resume_on(target);
  co_await dtask::sleep_for(1s);
  co_return co_await where_am_i();
}
}  // namespace

TEST_CASE("a task moves with all it awaits, and its caller resumes at home") {
  manual_scheduler home, away;
  dtask::scheduler *inside = nullptr, *after = nullptr;
  const auto body = [&]() -> dtask::task<> {
    inside = co_await moves(away);
    after = co_await where_am_i();
  };
  started t(home, body());
  home.run();
  CHECK(away.queued() == 1);
  away.advance(1100ms);
  CHECK_FALSE(t.ended());
  CHECK(home.queued() == 1);
  home.run();
  REQUIRE(t.ended());
  CHECK(inside == &away);
  CHECK(after == &home);
}

TEST_CASE("moving twice, and moving as a child of when_all") {
  manual_scheduler home, a, b;
  const auto twice = [](dtask::scheduler& x, dtask::scheduler& y) -> dtask::task<dtask::scheduler*> {
    co_await dtask::resume_on(x);
    co_await dtask::resume_on(y);
    co_return co_await where_am_i();
  };
  const auto body = [&]() -> dtask::task<bool> {
    auto both = co_await dtask::when_all(twice(a, b), where_am_i());
    const bool right = std::get<0>(both) == &b && std::get<1>(both) == &home;
    co_return right&& co_await where_am_i() == &home;
  };
  started t(home, body());
  for (int i = 0; i < 5; ++i) {
    home.run();
    a.run();
    b.run();
  }
  REQUIRE(t.ended());
  CHECK(t.take());
}

TEST_CASE("on runs one task elsewhere") {
  manual_scheduler home, away;
  const auto body = [&]() -> dtask::task<bool> {
    dtask::scheduler* const inside = co_await dtask::on(away, where_am_i());
    dtask::scheduler* const after = co_await where_am_i();
    co_return inside == &away&& after == &home;
  };
  started t(home, body());
  for (int i = 0; i < 3; ++i) {
    home.run();
    away.run();
  }
  REQUIRE(t.ended());
  CHECK(t.take());
}

TEST_CASE("a stopped task does not move") {
  manual_scheduler home, away;
  dtask::stop_source stop;
  const auto body = [&]() -> dtask::task<> {
    stop.request_stop();
    co_await dtask::resume_on(away);
  };
  started t(home, body(), stop);
  home.run();
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::cancelled);
  CHECK(away.queued() == 0);
}
