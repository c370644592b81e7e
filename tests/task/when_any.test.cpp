// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/when_any.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

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
    auto first = co_await dtask::when_any(after(2s, 1), text_after(1s), dtask::sleep_for(1h));
    co_return std::get<std::string>(first) == "text" ? first.index() : 9;
  };
  started t(where, body());
  where.advance(1100ms);
  CHECK(t.take() == 1);
  CHECK(where.timers() == 0);
}

TEST_CASE("a range says which it was") {
  manual_scheduler where;
  const auto body = []() -> dtask::task<int> {
    std::vector<dtask::task<int>> tasks;
    for (int i = 0; i < 5; ++i) tasks.push_back(after(std::chrono::seconds(5 - i), i * 10));
    auto first = co_await dtask::when_any(std::move(tasks));
    co_return first.value + static_cast<int>(first.index);
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

TEST_CASE("a failure that comes first is thrown") {
  manual_scheduler where;
  const auto body = []() -> dtask::task<> { co_await dtask::when_any(after(2s, 1), fails_after(1s)); };
  started t(where, body());
  where.advance(1100ms);
  REQUIRE(t.ended());
  CHECK_THROWS_AS(t.take(), int);
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
    co_return first.index == 0 ? first.value : -1;
  };
  started t(where, body());
  where.run();
  CHECK(t.take() == 5);
}
