// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/co_spawn.hpp"

#include <doctest/doctest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

#include "dtask/runtime/as_task.hpp"
#include "dtask/runtime/io_thread.hpp"
#include "dtask/task.hpp"
#include "task/manual_scheduler.hpp"

namespace asio = boost::asio;
using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<int> one() {
  const int value = 1;
  co_await dtask::sleep_for(1ms);
  co_return value;
}
dtask::task<> fails() {
  const int what = 7;
  co_await dtask::sleep_for(1ms);
  throw what;
}
template <class Executor>
int run_on(const Executor& executor) {
  dtask::one_shot<int> end;
  dtask::co_spawn(executor, one(), [&](std::exception_ptr e, int v) { end.set(e ? -1 : v); });
  return bounded(end.wait());
}
}  // namespace

TEST_CASE("a task runs on any Asio executor") {
  dtask::work_pool pool(2);
  dtask::io_thread io;
  asio::thread_pool foreign(1);
  CHECK(run_on(pool.get_executor()) == 1);
  CHECK(run_on(io.get_executor()) == 1);
  CHECK(run_on(foreign.get_executor()) == 1);
  CHECK(run_on(asio::make_strand(pool.get_executor())) == 1);
  CHECK(run_on(asio::any_io_executor(pool.get_executor())) == 1);
  CHECK(run_on(asio::any_io_executor(io.get_executor())) == 1);
}

TEST_CASE("the scheduler of a pool or an io_context is its own, not a second one") {
  dtask::work_pool pool(1);
  dtask::io_thread io;
  const auto where = []() -> dtask::task<dtask::scheduler*> {
    const dtask::environment& env = co_await dtask::this_environment();
    co_return env.where;
  };
  const auto on = [&](const asio::any_io_executor& ex) {
    dtask::one_shot<dtask::scheduler*> end;
    dtask::co_spawn(ex, where(), [&](std::exception_ptr, dtask::scheduler* s) { end.set(s); });
    return bounded(end.wait());
  };
  CHECK(on(pool.get_executor()) == &pool);
  CHECK(on(io.get_executor()) == &io.scheduler());
}

TEST_CASE("an exception reaches the handler, which runs on its own executor") {
  dtask::io_thread io;
  dtask::work_pool pool(1);  // posts to io until it has ended
  dtask::one_shot<bool> end;
  dtask::co_spawn(pool, fails(), asio::bind_executor(io.get_executor(), [&](std::exception_ptr e) {
                    bool right = false;
                    try {
                      if (e) std::rethrow_exception(e);
                    } catch (int what) {
                      right = what == 7;
                    }
                    end.set(right && io.scheduler().runs_here());
                  }));
  CHECK(bounded(end.wait()));
}

TEST_CASE("the handler's cancellation slot requests stop") {
  asio::io_context context(1);
  asio::cancellation_signal signal;
  dtask::errc cause = dtask::errc::ok;
  const auto forever = []() -> dtask::task<> {
    const dtask::time_point at = dtask::never;
    co_await dtask::sleep_until(at);
  };
  dtask::co_spawn(context, forever(), asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
                    cause = cause_of([&] { std::rethrow_exception(e); });
                  }));
  context.poll();
  CHECK(cause == dtask::errc::ok);
  signal.emit(asio::cancellation_type::terminal);
  context.restart();
  context.run();
  CHECK(cause == dtask::errc::cancelled);
  signal.emit(asio::cancellation_type::terminal);
}

TEST_CASE("from an Asio coroutine") {
  asio::io_context context(1);
  int got = 0;
  const auto coroutine = [](int& to) -> asio::awaitable<void> {
    auto executor = co_await asio::this_coro::executor;
    to = co_await dtask::co_spawn(executor, one(), asio::use_awaitable);
  };
  asio::co_spawn(context, coroutine(got), [](std::exception_ptr) {});
  context.run();
  CHECK(got == 1);
}

TEST_CASE("arguments of a spawned task are gone before its handler is called") {
  asio::io_context context(1);
  auto shared = std::make_shared<int>(1);
  long seen = 0;
  const auto holds = [](std::shared_ptr<int> p) -> dtask::task<> {
    const auto same = p;
    co_return;
  };
  dtask::co_spawn(context, holds(shared), [&](std::exception_ptr) { seen = shared.use_count(); });
  context.run();
  CHECK(seen == 1);
}

TEST_CASE("an empty task is an error at once") {
  dtask::io_thread io;
  CHECK(cause_of([&] { dtask::co_spawn(io.get_executor(), dtask::task<int>(), asio::detached); }) ==
        dtask::errc::invalid_argument);
}
