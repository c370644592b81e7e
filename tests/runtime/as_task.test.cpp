// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/as_task.hpp"

#include <doctest/doctest.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "dtask/runtime/io_thread.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task.hpp"
#include "task/manual_scheduler.hpp"

namespace asio = boost::asio;
using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
asio::awaitable<int> after(std::chrono::milliseconds d, int v) {
  asio::steady_timer timer(co_await asio::this_coro::executor, d);
  co_await timer.async_wait(asio::use_awaitable);
  co_return v;
}
asio::awaitable<void> fails() {
  const int what = 7;
  throw what;
  co_return;
}
}  // namespace

TEST_CASE("a task awaits an Asio coroutine, on a named executor or on its own") {
  dtask::work_pool pool(2);
  dtask::io_thread io;
  const auto body = [&]() -> dtask::task<int> {
    const int a = co_await dtask::as_task(io.get_executor(), after(1ms, 1));
    const bool home = pool.runs_here();
    const int b = co_await dtask::as_task(after(1ms, 2));
    co_return home&& pool.runs_here() ? a + b : -1;
  };
  CHECK(bounded_on(pool, body()) == 3);
}

TEST_CASE("its exception and its cancellation") {
  dtask::io_thread io;
  const auto throws = []() -> dtask::task<> {
    const int local = 0;
    static_cast<void>(local);
    co_await dtask::as_task(fails());
  };
  CHECK_THROWS_AS(bounded_on(io.scheduler(), throws()), int);
  const auto limited = []() -> dtask::task<int> {
    const dtask::duration limit = 5ms;
    co_return co_await dtask::with_timeout(dtask::as_task(after(1h, 1)), limit);
  };
  CHECK(cause_of([&] { bounded_on(io.scheduler(), limited()); }) == dtask::errc::deadline_exceeded);
}

TEST_CASE("without an executor the error says what to do") {
  const auto body = []() -> dtask::task<int> {
    const int local = 1;
    co_return local + co_await dtask::as_task(after(1ms, 1));
  };
  CHECK(cause_of([&] { bounded(body()); }) == dtask::errc::invalid_argument);
}
