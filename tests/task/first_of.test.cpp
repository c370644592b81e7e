// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/first_of.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "dtask/task/channel.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/resume_on.hpp"
#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<int> after(dtask::duration d, int v) {
  const int copy = v;
  co_await dtask::sleep_for(d);
  co_return copy;
}
dtask::task<std::string> text_after(dtask::duration d) {
  std::string t = "text";
  co_await dtask::sleep_for(d);
  co_return t;
}
/// Ends only when it may, although it is stopped.
dtask::task<int> slow_to_end(dtask::event& may_end, bool& stopped) {
  try {
    co_await dtask::sleep_until(dtask::never);
  } catch (const dtask::error&) {
    stopped = true;
  }
  co_await dtask::shield(may_end.wait());
  co_return 1;
}
dtask::task<int> fails_after(dtask::duration d) {
  const dtask::duration length = d;
  co_await dtask::sleep_for(length);
  throw 7;
}
struct seen {
  std::size_t index = 9;
  bool joined = false;
  dtask::errc cause = dtask::errc::ok;
};
}  // namespace

TEST_CASE("the first counts, and nobody waits for the others, which end in the scope") {
  manual_scheduler where;
  dtask::event may_end;
  bool stopped = false;
  seen s;
  const auto body = [&](dtask::scope& inside) -> dtask::task<> {
    auto first = co_await dtask::first_of(inside, slow_to_end(may_end, stopped), text_after(1s), after(2s, 1));
    s.index = first.index();
    CHECK(std::get<1>(first) == "text");
    CHECK(inside.children() >= 1);
    co_await inside.join();
    s.joined = true;
  };
  started t(where, dtask::with_scope(body));
  where.advance(1100ms);
  CHECK(s.index == 1);
  CHECK(stopped);
  CHECK_FALSE(s.joined);
  CHECK(where.timers() == 0);
  may_end.set();
  where.run();
  REQUIRE(t.ended());
  t.take();
  CHECK(s.joined);
}

TEST_CASE("a range, void and move-only values") {
  manual_scheduler where;
  const auto body = [&](dtask::scope& inside) -> dtask::task<int> {
    std::vector<dtask::task<int>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(after(std::chrono::seconds(5 - i), i * 10));
    const auto first = co_await dtask::first_of(inside, std::move(tasks));
    const auto unique = []() -> dtask::task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
    auto moved = co_await dtask::first_of(inside, dtask::sleep_for(1h), unique());
    const auto nothing = co_await dtask::first_of(inside, dtask::sleep_for(0s), after(1h, 1));
    co_return first.value + static_cast<int>(first.index) + *std::get<1>(moved) + static_cast<int>(nothing.index());
  };
  started t(where, dtask::with_scope(body));
  where.advance(1100ms);
  where.advance(1ms);
  REQUIRE(t.ended());
  CHECK(t.take() == 40 + 4 + 3 + 0);
  CHECK(where.timers() == 0);
  dtask::scope none(where);
  CHECK(cause_of([&] { static_cast<void>(dtask::first_of(none, std::vector<dtask::task<int>>())); }) ==
        dtask::errc::invalid_argument);
}

TEST_CASE("what the first throws is thrown, and is no failure of the scope; what the others throw is dropped") {
  manual_scheduler where;
  const auto body = [&](dtask::scope& inside) -> dtask::task<int> {
    int caught = 0;
    try {
      co_await dtask::first_of(inside, fails_after(1s), after(2s, 1));
    } catch (int what) {
      caught = what;
    }
    const auto first = co_await dtask::first_of(inside, after(1s, 2), fails_after(1500ms));
    co_await inside.join();
    CHECK_FALSE(inside.failure());
    co_return caught + std::get<0>(first);
  };
  started t(where, dtask::with_scope(body));
  where.advance(1100ms);
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(t.take() == 9);
}

TEST_CASE("the stop of who waits ends the wait at once and stops the tasks") {
  manual_scheduler where;
  dtask::scope inside(where);
  dtask::event may_end;
  bool stopped = false;
  dtask::stop_source stop;
  const auto body = [&]() -> dtask::task<std::size_t> {
    const auto first = co_await dtask::first_of(inside, slow_to_end(may_end, stopped), after(1h, 1));
    co_return first.index();
  };
  started t(where, body(), stop);
  where.run();
  stop.request_stop(dtask::errc::deadline_exceeded);
  where.run();
  REQUIRE(t.ended());
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::deadline_exceeded);
  CHECK(stopped);
  CHECK(inside.children() == 1);
  may_end.set();
  where.run();
  CHECK(inside.children() == 0);
}

TEST_CASE("a scope that is stopped or closed") {
  manual_scheduler where;
  dtask::scope inside(where);
  const auto body = [&]() -> dtask::task<int> {
    const auto first = co_await dtask::first_of(inside, after(1h, 1), after(2h, 2));
    co_return static_cast<int>(first.index());
  };
  started t(where, body());
  where.run();
  inside.request_stop();
  where.run();
  REQUIRE(t.ended());
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::cancelled);
  // Stopped before the tasks begin.
  started late(where, body());
  where.run();
  REQUIRE(late.ended());
  CHECK(cause_of([&] { late.take(); }) == dtask::errc::cancelled);
  const auto close = [&]() -> dtask::task<> { co_await inside.close(); };
  started closing(where, close());
  where.run();
  REQUIRE(closing.ended());
  started refused(where, body());
  where.run();
  REQUIRE(refused.ended());
  CHECK(cause_of([&] { refused.take(); }) == dtask::errc::closed);
  CHECK(where.timers() == 0);
}

TEST_CASE("the tasks run in the scope's place, under the deadline and the name of who waits") {
  manual_scheduler where, elsewhere;
  dtask::scope inside(elsewhere);
  const auto tells = []() -> dtask::task<dtask::environment> {
    const dtask::environment& env = co_await dtask::this_environment();
    co_return env;
  };
  const auto body = [&]() -> dtask::task<dtask::environment> {
    auto first = co_await dtask::first_of(inside, tells());
    co_return std::get<0>(first);
  };
  const auto until = where.now() + 1h;
  started t(where, dtask::task<dtask::environment>([](auto f, dtask::time_point at) -> dtask::task<dtask::environment> {
              auto limited = dtask::with_deadline(f(), at);
              co_return co_await std::move(limited);
            }(body, until)));
  where.run();
  CHECK_FALSE(t.ended());
  elsewhere.run();
  where.run();
  REQUIRE(t.ended());
  const auto env = t.take();
  CHECK(env.where == &elsewhere);
  CHECK(env.deadline == until);
  CHECK(inside.children() == 0);
}

TEST_CASE("an empty task among them") {
  manual_scheduler where;
  dtask::scope inside(where);
  const auto body = [&]() -> dtask::task<int> {
    const auto first = co_await dtask::first_of(inside, dtask::task<int>(), after(1h, 1));
    co_return static_cast<int>(first.index());
  };
  started t(where, body());
  where.run();
  REQUIRE(t.ended());
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::invalid_argument);
  CHECK(inside.children() == 0);
}
