// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/when_any.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "dtask/task/channel.hpp"
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
dtask::task<> fails_after(dtask::duration d) {
  const dtask::duration length = d;
  co_await dtask::sleep_for(length);
  throw 7;
}
}  // namespace

TEST_CASE("the first to end counts, the others are stopped") {
  manual_scheduler where;
  const auto body = []() -> dtask::task<std::size_t> {
    auto any = co_await dtask::when_any(after(2s, 1), text_after(1s), dtask::sleep_for(1h));
    CHECK(std::get<1>(any.ends).value() == "text");
    // Those that were stopped say so.
    CHECK(cause_of([&] { std::get<0>(any.ends).value(); }) == dtask::errc::cancelled);
    CHECK(std::get<0>(any.ends).exception());
    CHECK(cause_of([&] { std::get<2>(any.ends).value(); }) == dtask::errc::cancelled);
    co_return any.index;
  };
  started t(where, body());
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(t.take() == 1);
  CHECK(where.timers() == 0);
}

TEST_CASE("a range says which it was") {
  manual_scheduler where;
  const auto body = []() -> dtask::task<int> {
    std::vector<dtask::task<int>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(after(std::chrono::seconds(5 - i), i * 10));
    auto first = co_await dtask::when_any(std::move(tasks));
    CHECK(first.ends.size() == 5);
    CHECK_FALSE(first.ends[0].has_value());
    co_return first.first().value() + static_cast<int>(first.index);
  };
  started t(where, body());
  where.advance(1100ms);
  CHECK(t.take() == 44);
  const auto empty = []() -> dtask::task<> {
    std::vector<dtask::task<int>> none;
    co_await dtask::when_any(std::move(none));
  };
  CHECK(cause_of([&] { bounded(empty()); }) == dtask::errc::invalid_argument);
}

TEST_CASE("a failure that comes first is one end among the others") {
  manual_scheduler where;
  const auto keeps = [](dtask::duration d) -> dtask::task<int> {
    int value = 1;
    try {
      co_await dtask::sleep_for(d);
    } catch (const dtask::error&) {
      value = 2;
    }
    co_return value;
  };
  const auto body = [&]() -> dtask::task<std::size_t> {
    auto any = co_await dtask::when_any(keeps(2s), fails_after(1s));
    CHECK(std::get<0>(any.ends).value() == 2);
    CHECK_THROWS_AS(std::get<1>(any.ends).value(), int);
    co_return any.index;
  };
  started t(where, body());
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK(t.take() == 1);
}

TEST_CASE("what was taken and returned is among the ends, whoever was first") {
  manual_scheduler where;
  dtask::channel<int> c(1);
  const auto pop = [](dtask::channel<int>& from) -> dtask::task<int> {
    const auto v = co_await from.pop();
    co_return v ? *v : -1;
  };
  const auto body = [&]() -> dtask::task<int> {
    auto any = co_await dtask::when_any(dtask::sleep_for(1s), pop(c));
    CHECK(any.index == 0);
    CHECK(std::get<0>(any.ends).has_value());
    co_return std::get<1>(any.ends).value();
  };
  started t(where, body());
  where.run();
  // Both are given what they wait for, and then they run.
  CHECK(c.try_push(7));
  where.expire(1100ms);
  where.reverse();
  where.run();
  REQUIRE(t.ended());
  CHECK(t.take() == 7);
}

TEST_CASE("stop from above: what they ended with is there, and a group that had not begun throws") {
  manual_scheduler where;
  dtask::stop_source stop;
  const auto body = [](std::size_t& ends) -> dtask::task<> {
    auto any = co_await dtask::when_any(after(2s, 1), after(1s, 2));
    CHECK(cause_of([&] { std::get<0>(any.ends).value(); }) == dtask::errc::deadline_exceeded);
    CHECK(cause_of([&] { std::get<1>(any.ends).value(); }) == dtask::errc::deadline_exceeded);
    ends = 2;
    co_await dtask::when_any(after(2s, 1), after(1s, 2));
    ends = 3;
  };
  std::size_t ends = 0;
  started t(where, body(ends), stop);
  where.run();
  stop.request_stop(dtask::errc::deadline_exceeded);
  where.run();
  REQUIRE(t.ended());
  CHECK(ends == 2);
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::deadline_exceeded);
}

TEST_CASE("of many that end at once the first counts, and the others change nothing") {
  manual_scheduler where;
  const auto ready = [](int v) -> dtask::task<int> {
    const int copy = v;
    co_return copy;
  };
  const auto body = [&]() -> dtask::task<int> {
    std::vector<dtask::task<int>> tasks;
    for (int i = 0; i < 1000; ++i) tasks.push_back(ready(i + 5));
    auto first = co_await dtask::when_any(std::move(tasks));
    // The others never began.
    for (std::size_t i = 1; i < first.ends.size(); ++i) {
      REQUIRE_FALSE(first.ends[i].has_value());
      REQUIRE_FALSE(first.ends[i].exception());
    }
    CHECK(cause_of([&] { first.ends[1].value(); }) == dtask::errc::cancelled);
    co_return first.index == 0 ? first.first().value() : -1;
  };
  started t(where, body());
  where.run();
  CHECK(t.take() == 5);
}
