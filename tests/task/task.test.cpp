// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/task.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/task/resume_on.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/task/when_any.hpp"
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

namespace {
/// Tasks that cannot be started: never made, moved from, and awaited before.
dtask::task<int> made_empty() { return {}; }
dtask::task<int> moved_from() {
  auto t = value(1);
  const auto elsewhere = std::move(t);
  return t;  // NOLINT(bugprone-use-after-move)
}
dtask::task<int> used_up() {
  auto t = value(1);
  const auto use = [](dtask::task<int>& which) -> dtask::task<> { co_await std::move(which); };
  bounded(use(t));
  return t;
}
template <class T>
dtask::task<> awaits(T awaitable) {
  [[maybe_unused]] const int local = 0;
  co_await std::move(awaitable);
}
std::vector<dtask::task<int>> among_others(dtask::task<int> t) {
  std::vector<dtask::task<int>> all;
  all.push_back(value(1));
  all.push_back(std::move(t));
  return all;
}
dtask::task<int> as_body(dtask::scope&, dtask::task<int>& t) { return std::move(t); }
dtask::task<> spawns(dtask::scope& s, dtask::task<int>& t) {
  const auto give = [](dtask::task<int>& which) { return std::move(which); };
  dtask::spawn(s, give, std::ref(t));
  co_await s.join();
}
/// The error of a call, which names cause, place and remedy.
template <class F>
void refused(const std::string& place, F f) {
  INFO(place);
  try {
    f();
    FAIL_CHECK("nothing was thrown");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::invalid_argument);
    CHECK(e.place() == place);
    CHECK_FALSE(e.cause().empty());
    CHECK_FALSE(e.remedy().empty());
  }
}
}  // namespace

TEST_CASE("a task that cannot be started is an error at once, wherever it is given") {
  for (dtask::task<int> (*make)() : {&made_empty, &moved_from, &used_up}) {
    refused("co_await", [&] { bounded(awaits(make())); });
    refused("when_all", [&] { bounded(dtask::when_all(value(1), make())); });
    refused("when_all", [&] { bounded(dtask::when_all(among_others(make()))); });
    refused("when_any", [&] { bounded(dtask::when_any(value(1), make())); });
    refused("when_any", [&] { bounded(dtask::when_any(among_others(make()))); });
    refused("with_timeout", [&] { bounded(dtask::with_timeout(make(), std::chrono::hours(1))); });
    refused("shield", [&] { bounded(dtask::shield(make())); });
    dtask::stop_source stop;
    refused("with_stop", [&] { bounded(dtask::with_stop(stop, make())); });
    dtask::run_loop unused;
    refused("on", [&] { bounded(dtask::on(unused, make())); });
    refused("sync_wait", [&] { dtask::sync_wait(make()); });
    refused("sync_wait", [&] { dtask::sync_wait(unused, make()); });
    auto t = make();
    refused("with_scope", [&] { bounded(dtask::with_scope(as_body, std::ref(t))); });
    t = make();
    refused("spawn", [&] { bounded(dtask::with_scope(spawns, std::ref(t))); });
  }
}

TEST_CASE("a combinator is awaited once, like a task") {
  const auto twice = [](auto op) -> dtask::task<> {
    co_await std::move(op);
    co_await std::move(op);
  };
  refused("when_all", [&] { bounded(twice(dtask::when_all(value(1), value(2)))); });
  refused("when_all", [&] { bounded(twice(dtask::when_all(among_others(value(2))))); });
  refused("when_any", [&] { bounded(twice(dtask::when_any(value(1), value(2)))); });
  refused("with_timeout", [&] { bounded(twice(dtask::with_timeout(value(1), std::chrono::hours(1)))); });
  dtask::run_loop unused;
  const auto on_itself = [&](dtask::scheduler& where) -> dtask::task<> { co_await twice(dtask::on(where, value(1))); };
  manual_scheduler where;
  started t(where, on_itself(where));
  where.run();
  REQUIRE(t.ended());
  refused("on", [&] { t.take(); });
}

namespace {
dtask::task<long> first_of_chain(counted) { co_return 0; }
dtask::task<long> then(dtask::task<long> before, counted) { co_return 1 + co_await std::move(before); }
dtask::task<long> then_both(counted, dtask::task<long> before, dtask::task<int> other) {
  const long sum = co_await std::move(before);
  co_return sum + co_await std::move(other);
}
dtask::task<long> chain(int length) {
  auto t = first_of_chain({});
  for (int i = 0; i < length; ++i) {
    if (i % 3 == 0)
      t = then_both({}, std::move(t), value(1));
    else
      t = then(std::move(t), {});
  }
  return t;
}
}  // namespace

TEST_CASE("a long chain of tasks that hold each other by parameter runs and goes without recursion") {
  counted::live = 0;
  constexpr int length = 200'000;
  CHECK(bounded(chain(length)) == length);
  CHECK(counted::live == 0);
  {
    auto dropped = chain(length);
    CHECK(counted::live == length + 1);
    dropped = chain(10);
    CHECK(counted::live == 11);
  }
  CHECK(counted::live == 0);
}

namespace {
/// Notes when it goes.
struct last_words {
  std::string* into;
  char word;
  last_words(std::string& i, char w) : into(&i), word(w) {}
  last_words(last_words&& o) noexcept : into(std::exchange(o.into, nullptr)), word(o.word) {}
  ~last_words() {
    if (into) *into += word;
  }
};
dtask::task<> innermost(last_words) { co_return; }
dtask::task<> around(last_words, dtask::task<> inner) { co_await std::move(inner); }
}  // namespace

TEST_CASE("what a dropped task holds goes from the inside out") {
  std::string order;
  {
    auto t = around({order, 'c'}, around({order, 'b'}, innermost({order, 'a'})));
  }
  CHECK(order == "abc");
}
