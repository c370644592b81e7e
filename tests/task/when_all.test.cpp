// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/when_all.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "dtask/task/event.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<int> number(int v) {
  const int copy = v;
  co_return copy;
}
dtask::task<int> slow_number(int v) {
  const int copy = v;
  co_await dtask::sleep_for(1s);
  co_return copy;
}
dtask::task<std::string> text(std::string t) {
  std::string copy = std::move(t);
  co_return copy;
}
dtask::task<> nothing() {
  const int local = 0;
  static_cast<void>(local);
  co_return;
}
dtask::task<> fails(int what) {
  const int code = what;
  co_await dtask::sleep_for(1s);
  throw code;
}
dtask::task<> waits_for_stop(bool& stopped) {
  bool& flag = stopped;
  try {
    co_await dtask::sleep_until(dtask::never);
  } catch (const dtask::error& e) {
    flag = e.code() == dtask::errc::cancelled;
    throw;
  }
}
dtask::task<> waits_and_lingers(bool& gone) {
  bool& flag = gone;
  bool stopped = false;
  try {
    co_await dtask::sleep_until(dtask::never);
  } catch (const dtask::error&) {
    stopped = true;
  }
  if (stopped) co_await dtask::shield(dtask::sleep_for(5s));
  flag = true;
}
}  // namespace

TEST_CASE("the results of tasks of several types") {
  const auto body = []() -> dtask::task<std::string> {
    auto [a, b, c] = co_await dtask::when_all(number(1), text("two"), nothing());
    static_cast<void>(c);
    co_return b + std::to_string(a);
  };
  CHECK(bounded(body()) == "two1");
}

TEST_CASE("a range keeps its order; an empty one is done at once") {
  const auto body = [](int n) -> dtask::task<std::vector<int>> {
    std::vector<dtask::task<int>> tasks;
    for (int i = 0; i < n; ++i) tasks.push_back(number(i));
    co_return co_await dtask::when_all(std::move(tasks));
  };
  CHECK(bounded(body(0)).empty());
  const auto hundred = bounded(body(100));
  REQUIRE(hundred.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(hundred[static_cast<std::size_t>(i)] == i);
  const auto voids = []() -> dtask::task<> {
    std::vector<dtask::task<>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(nothing());
    co_await dtask::when_all(std::move(tasks));
  };
  bounded(voids());
}

TEST_CASE("other awaitables than tasks") {
  dtask::event e;
  const auto body = [](dtask::event& ev) -> dtask::task<int> {
    const auto set = [](dtask::event& x) -> dtask::task<int> {
      x.set();
      co_return 3;
    };
    auto both = co_await dtask::when_all(ev.wait(), set(ev));
    co_return std::get<1>(both);
  };
  CHECK(bounded(body(e)) == 3);
}

TEST_CASE("they wait together") {
  manual_scheduler where;
  const auto body = []() -> dtask::task<int> {
    auto [a, b, c] = co_await dtask::when_all(slow_number(1), slow_number(2), slow_number(3));
    co_return a + b + c;
  };
  started t(where, body());
  where.run();
  CHECK(where.timers() == 3);
  where.advance(1100ms);
  CHECK(t.take() == 6);
}

TEST_CASE("the first failure stops the others, all are awaited, and it is what is thrown") {
  manual_scheduler where;
  bool stopped = false, gone = false;
  const auto body = [&]() -> dtask::task<> {
    co_await dtask::when_all(waits_for_stop(stopped), fails(7), waits_and_lingers(gone));
  };
  started t(where, body());
  where.advance(1100ms);
  CHECK(stopped);
  CHECK_FALSE(gone);
  CHECK_FALSE(t.ended());
  where.advance(6s);
  CHECK(gone);
  REQUIRE(t.ended());
  CHECK_THROWS_AS(t.take(), int);
}

TEST_CASE("stop from above reaches the children; stopped before, none starts") {
  manual_scheduler where;
  dtask::stop_source stop;
  bool stopped = false;
  int started_count = 0;
  const auto counts = [](int& n) -> dtask::task<> {
    ++n;
    co_return;
  };
  const auto body = [&]() -> dtask::task<> {
    try {
      co_await dtask::when_all(waits_for_stop(stopped), waits_for_stop(stopped));
    } catch (const dtask::error&) {
      stopped = stopped && true;
    }
    co_await dtask::when_all(counts(started_count), counts(started_count));
  };
  started t(where, body(), stop);
  where.run();
  stop.request_stop();
  where.run();
  CHECK(stopped);
  CHECK(started_count == 0);
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::cancelled);
}

TEST_CASE("of many failures the first in time is thrown, wherever it stands") {
  const auto fails_with = [](dtask::duration d, int what) -> dtask::task<> {
    try {
      co_await dtask::sleep_for(d);
    } catch (const dtask::error&) {
      throw what;  // stopped by the first, they fail too
    }
    throw what;
  };
  for (const int first : {0, 3, 6}) {
    manual_scheduler where;
    const auto body = [&]() -> dtask::task<> {
      std::vector<dtask::task<>> tasks;
      for (int i = 0; i < 7; ++i) tasks.push_back(fails_with(i == first ? 1s : 2s, i));
      co_await dtask::when_all(std::move(tasks));
    };
    started t(where, body());
    where.advance(1100ms);
    REQUIRE(t.ended());
    int thrown = -1;
    try {
      t.take();
    } catch (int what) {
      thrown = what;
    }
    CHECK(thrown == first);
  }
}
