// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/shared_objects.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/resume_on.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/task/when_any.hpp"

namespace {

using dtask::errc;
using dtask::shared_objects;

struct table {
  explicit table(int v) : value(v) {}
  int value;
};

template <class F>
errc code_of(F&& f) {
  try {
    f();
  } catch (const dtask::error& e) {
    CHECK(e.remedy() != "");
    return e.code();
  }
  return errc::ok;
}

struct making {
  dtask::event begun[2], gate;  // the first and the second time
  int count = 0, fails = 0;
};
dtask::task<std::shared_ptr<table>> slow_table(making* m) {
  const int which = ++m->count;
  if (which <= 2) m->begun[which - 1].set();
  co_await m->gate.wait();
  if (which <= m->fails) throw std::runtime_error("not this time");
  co_return std::make_shared<table>(which);
}
dtask::task<int> value_of(std::shared_ptr<shared_objects> all, making* m) {
  auto make = [m] { return slow_table(m); };
  auto coming = shared_objects::await<table>(all, "slow", make);
  try {
    auto t = co_await std::move(coming);
    co_return t->value;
  } catch (const std::runtime_error&) {
  }
  co_return -1;
}
dtask::task<> has_begun(making* m, std::size_t time) { co_await m->begun[time].wait(); }
dtask::task<> open(making* m, std::size_t time) {
  co_await m->begun[time].wait();
  m->gate.set();
}
dtask::task<int> later_value_of(std::shared_ptr<shared_objects> all, making* m) {
  co_await m->begun[0].wait();
  co_return co_await value_of(all, m);
}

}  // namespace

TEST_CASE("shared_objects: made once, by whoever comes first, on many threads") {
  shared_objects all;
  std::atomic<int> made{0};
  std::vector<std::thread> threads;
  std::vector<std::shared_ptr<int>> got(8);
  for (std::size_t i = 0; i < got.size(); ++i)
    threads.emplace_back([&, i] { got[i] = all.obtain<int>("n", [&] { return ++made; }); });
  for (auto& t : threads) t.join();
  CHECK(made == 1);
  for (const auto& p : got) CHECK(p == got.front());
  CHECK(*got.front() == 1);
}

TEST_CASE("shared_objects: a pointer or a value, another type under the name, the end of an object") {
  shared_objects all;
  const auto text = all.obtain<std::string>("t", [] { return "abc"; });
  CHECK(*text == "abc");
  const auto p = std::make_shared<table>(5);
  CHECK(all.obtain<table>("p", [&] { return p; }) == p);
  CHECK(code_of([&] { all.obtain<int>("t", [] { return 1; }); }) == errc::invalid_argument);
  all.drop("t");
  all.drop("nothing");
  CHECK(*all.obtain<std::string>("t", [] { return "def"; }) == "def");
  CHECK(*text == "abc");
}

TEST_CASE("shared_objects: what make throws, and the next try") {
  shared_objects all;
  CHECK_THROWS_AS(all.obtain<int>("n", []() -> int { throw std::out_of_range("no"); }), std::out_of_range);
  CHECK(*all.obtain<int>("n", [] { return 2; }) == 2);
  CHECK(code_of([&] { all.obtain<int>("self", [&] { return *all.obtain<int>("self", [] { return 1; }) + 1; }); }) ==
        errc::invalid_argument);
}

TEST_CASE("shared_objects: at most so many names") {
  shared_objects all;
  for (std::size_t i = 0; i < shared_objects::limit; ++i) all.obtain<int>(std::to_string(i), [] { return 1; });
  CHECK(code_of([&] { all.obtain<int>("one more", [] { return 1; }); }) == errc::too_large);
  CHECK(*all.obtain<int>("7", [] { return 2; }) == 1);
  all.drop("7");
  CHECK(*all.obtain<int>("one more", [] { return 3; }) == 3);
}

TEST_CASE("shared_objects: awaited; those who wait block no thread") {
  auto all = std::make_shared<shared_objects>();
  making m;
  dtask::work_pool pool(1);
  SUBCASE("it is made once") {
    auto both = dtask::when_all(value_of(all, &m), value_of(all, &m), open(&m, 0));
    const auto ends = dtask::sync_wait(dtask::on(pool, std::move(both)));
    CHECK(std::get<0>(ends) == 1);
    CHECK(std::get<1>(ends) == 1);
    CHECK(m.count == 1);
  }
  SUBCASE("where the first fails, the next tries") {
    m.fails = 1;
    auto both = dtask::when_all(value_of(all, &m), value_of(all, &m), open(&m, 0));
    const auto ends = dtask::sync_wait(dtask::on(pool, std::move(both)));
    CHECK(std::min(std::get<0>(ends), std::get<1>(ends)) == -1);
    CHECK(std::max(std::get<0>(ends), std::get<1>(ends)) == 2);
  }
  SUBCASE("who does not await is told so, and not left to wait") {
    auto one = value_of(all, &m);
    auto other = [](std::shared_ptr<shared_objects> objects, making* making_it) -> dtask::task<errc> {
      co_await making_it->begun[0].wait();
      const errc code = code_of([&] { objects->obtain<table>("slow", [] { return std::make_shared<table>(1); }); });
      making_it->gate.set();
      co_return code;
    };
    auto both = dtask::when_all(std::move(one), other(all, &m));
    const auto ends = dtask::sync_wait(dtask::on(pool, std::move(both)));
    CHECK(std::get<0>(ends) == 1);
    CHECK(std::get<1>(ends) == errc::invalid_argument);
  }
  SUBCASE("whoever makes it is stopped: the next makes it") {
    auto stopped = dtask::when_any(value_of(all, &m), has_begun(&m, 0));
    auto both = dtask::when_all(std::move(stopped), later_value_of(all, &m), open(&m, 1));
    const auto ends = dtask::sync_wait(dtask::on(pool, std::move(both)));
    CHECK(std::get<0>(ends).index == 1);
    CHECK(std::get<1>(ends) == 2);
    CHECK(m.count == 2);
  }
}
