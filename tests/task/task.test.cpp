// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/task.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>

#include "manual_scheduler.hpp"

using namespace dtask_test;

namespace {
dtask::task<int> value(int v) {
  const int copy = v;
  co_return copy;
}
dtask::task<int> sum(int n) {
  int total = 0;
  for (int i = 0; i < n; ++i) total += co_await value(i);
  co_return total;
}
dtask::task<> thrower() {
  const char* text = "thrown";
  throw std::string(text);
  co_return;
}
dtask::task<int&> reference(int& to) {
  int& same = to;
  co_return same;
}
dtask::task<std::unique_ptr<int>> move_only(int v) {
  auto p = std::make_unique<int>(v);
  co_return p;
}
struct counted {
  static inline int live = 0;
  counted() { ++live; }
  counted(const counted&) { ++live; }
  counted(counted&&) noexcept { ++live; }
  ~counted() { --live; }
};
dtask::task<> holds(counted c, bool& ran) {
  const counted& same = c;
  static_cast<void>(same);
  ran = true;
  co_return;
}
}  // namespace

static_assert(!std::is_copy_constructible_v<dtask::task<int>>);
static_assert(std::is_nothrow_move_constructible_v<dtask::task<int>>);

TEST_CASE("a task yields values, references and move-only things") {
  CHECK(bounded(sum(10)) == 45);
  CHECK(*bounded(move_only(7)) == 7);
  int x = 1;
  const auto body = [](int& to) -> dtask::task<> {
    int& same = co_await reference(to);
    same = 5;
  };
  bounded(body(x));
  CHECK(x == 5);
}

TEST_CASE("an exception crosses awaits and is caught by the awaiting task") {
  CHECK_THROWS_AS(bounded(thrower()), std::string);
  const auto body = []() -> dtask::task<int> {
    int caught = 0;
    try {
      co_await thrower();
    } catch (const std::string& text) {
      caught = text == "thrown" ? 1 : 2;
    }
    co_return caught;
  };
  CHECK(bounded(body()) == 1);
}

TEST_CASE("a task that is not awaited does not run, and frees its arguments") {
  bool ran = false;
  {
    auto t = holds(counted(), ran);
    CHECK(counted::live == 1);
    auto moved = std::move(t);
    CHECK_FALSE(static_cast<bool>(t));
    CHECK(static_cast<bool>(moved));
  }
  CHECK(counted::live == 0);
  CHECK_FALSE(ran);
}

TEST_CASE("a task is not started where stop was requested, and the await names the cause") {
  bool ran = false;
  dtask::stop_source stop;
  const auto body = [](dtask::stop_source& s, bool& child_ran) -> dtask::task<> {
    s.request_stop(dtask::errc::deadline_exceeded);
    counted c;
    co_await holds(c, child_ran);
  };
  manual_scheduler where;
  started t(where, body(stop, ran), stop);
  where.run();
  REQUIRE(t.ended());
  CHECK(cause_of([&] { t.take(); }) == dtask::errc::deadline_exceeded);
  CHECK_FALSE(ran);
  CHECK(counted::live == 0);
}

TEST_CASE("a child inherits the environment") {
  const auto child = []() -> dtask::task<std::uint64_t> {
    const dtask::environment& env = co_await dtask::this_environment();
    co_return env.trace_id;
  };
  dtask::environment env;
  env.trace_id = 42;
  CHECK(dtask::sync_wait(child(), env) == 42);
}
