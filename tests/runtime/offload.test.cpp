// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/offload.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dtask/runtime/io_thread.hpp"
#include "dtask/task.hpp"
#include "runtime/no_more_threads.hpp"
#include "task/manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

TEST_CASE("a blocking call runs elsewhere and the task resumes at home") {
  dtask::io_thread io;
  const auto body = [&]() -> dtask::task<bool> {
    const auto id = [] { return std::this_thread::get_id(); };
    const auto elsewhere = co_await dtask::offload(id);
    const auto text = [] { return std::make_unique<std::string>("moved"); };
    const auto moved = co_await dtask::offload(text);
    co_return elsewhere != std::this_thread::get_id() && io.scheduler().runs_here() && *moved == "moved";
  };
  CHECK(bounded_on(io.scheduler(), body()));
  const auto throws = []() -> dtask::task<> {
    const auto bad = [] { throw 7; };
    co_await dtask::offload(bad);
  };
  CHECK_THROWS_AS(bounded(throws()), int);
}

TEST_CASE("threads are bounded, and so is the queue") {
  dtask::offload_pool pool(2, 3);
  std::mutex guard;
  std::condition_variable changed;
  int inside = 0, most = 0;
  bool open = false;
  const auto blocks = [&] {
    std::unique_lock hold(guard);
    if (++inside > most) most = inside;
    changed.notify_all();
    changed.wait(hold, [&] { return open; });
    --inside;
  };
  const auto call = [&]() -> dtask::task<> {
    auto f = [&] { blocks(); };
    co_await dtask::offload(pool, std::move(f));
  };
  dtask::io_thread io;
  const auto body = [&](dtask::scope& s) -> dtask::task<dtask::errc> {
    for (int i = 0; i < 2; ++i) dtask::spawn(s, call);
    const auto both_inside = [&] {
      std::unique_lock hold(guard);
      changed.wait(hold, [&] { return inside == 2; });
    };
    co_await dtask::offload(both_inside);
    for (int i = 0; i < 3; ++i) dtask::spawn(s, call);
    // Everything that was spawned before has had its turn when a later child runs.
    dtask::event turn;
    const auto sets = [](dtask::event& e) -> dtask::task<> {
      e.set();
      co_return;
    };
    dtask::spawn(s, sets, std::ref(turn));
    co_await turn.wait();
    dtask::errc cause = dtask::errc::ok;
    try {
      co_await call();
    } catch (const dtask::error& e) {
      cause = e.code();
    }
    {
      const std::lock_guard hold(guard);
      open = true;
      changed.notify_all();
    }
    co_await s.join();
    co_return cause;
  };
  CHECK(bounded_on(io.scheduler(), dtask::with_scope(body)) == dtask::errc::overloaded);
  CHECK(most == 2);
}

TEST_CASE("stop before the call keeps it from being made") {
  dtask::stop_source stop;
  stop.request_stop();
  dtask::environment env;
  env.stop = &stop;
  bool called = false;
  const auto body = [&]() -> dtask::task<> {
    auto f = [&] { called = true; };
    co_await dtask::offload(std::move(f));
  };
  CHECK(cause_of([&] { dtask::sync_wait(body(), env); }) == dtask::errc::cancelled);
  CHECK_FALSE(called);
}

#if !DTASK_ASAN && !DTASK_TSAN
TEST_CASE("where no further thread can be started, those that run do the calls, and without any the call fails") {
  dtask::offload_pool running(4), fresh(4);
  const auto number = [](dtask::offload_pool& pool, int n) -> dtask::task<int> {
    auto f = [n] { return n; };
    co_return co_await dtask::offload(pool, std::move(f));
  };
  const auto many = [&]() -> dtask::task<int> {
    std::vector<dtask::task<int>> tasks;
    for (int i = 0; i < 8; ++i) tasks.push_back(number(running, i));
    const auto all = co_await dtask::when_all(std::move(tasks));
    int sum = 0;
    for (const int v : all) sum += v;
    co_return sum;
  };
  dtask::io_thread io;
  bounded_on(io.scheduler(), number(running, 1));
  {
    const no_more_threads none;
    REQUIRE(none.refused());
    CHECK(bounded_on(io.scheduler(), many()) == 28);
    CHECK(cause_of([&] { bounded_on(io.scheduler(), number(fresh, 1)); }) == dtask::errc::overloaded);
  }
  CHECK(bounded_on(io.scheduler(), number(fresh, 1)) == 1);
}
#endif
