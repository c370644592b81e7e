// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/executor_scheduler.hpp"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include "dtask/task.hpp"
#include "task/manual_scheduler.hpp"

namespace asio = boost::asio;
using namespace dtask_test;
using namespace std::chrono_literals;

TEST_CASE("tasks on a strand never run at the same time") {
  asio::thread_pool threads(3);
  dtask::executor_scheduler where(asio::make_strand(threads.get_executor()));
  int plain = 0;  // no lock and no atomic: the strand is the protection
  const auto child = [](int& n) -> dtask::task<> {
    for (int i = 0; i < 20; ++i) {
      ++n;
      co_await dtask::sleep_for(0ms);
    }
  };
  const auto body = [&](dtask::scope& s) -> dtask::task<> {
    for (int i = 0; i < 10; ++i) dtask::spawn(s, child, std::ref(plain));
    co_await s.join();
  };
  bounded_on(where, dtask::with_scope(body));
  CHECK(plain == 200);
}

TEST_CASE("to block the thread that shall run the task is an error at once, where the executor tells") {
  const auto ready = []() -> dtask::task<> { co_return; };
  asio::thread_pool one(1);
  dtask::executor_scheduler where(one.get_executor());
  const auto body = [&]() -> dtask::task<dtask::errc> {
    co_return cause_of([&] { dtask::sync_wait(where, ready()); });
  };
  CHECK(bounded_on(where, body()) == dtask::errc::invalid_argument);
  const auto nested = [&]() -> dtask::task<dtask::errc> { co_return dtask::sync_wait(body()); };
  CHECK(bounded_on(where, nested()) == dtask::errc::invalid_argument);
  // A plain function on the context's thread: the executor of a context, or of a pool of ours, knows.
  asio::io_context io;
  dtask::executor_scheduler of_io(io.get_executor());
  dtask::errc cause = dtask::errc::ok;
  asio::post(io, [&] { cause = cause_of([&] { dtask::sync_wait(of_io, ready()); }); });
  io.run();
  CHECK(cause == dtask::errc::invalid_argument);
  dtask::work_pool pool(1);
  dtask::executor_scheduler of_pool(pool.get_executor());
  dtask::one_shot<dtask::errc> end;
  asio::post(pool, [&] { end.set(cause_of([&] { dtask::sync_wait(of_pool, ready()); })); });
  CHECK(bounded(end.wait()) == dtask::errc::invalid_argument);
  // The other way round: a task on a scheduler that was made for the pool's executor.
  const auto of_the_pool = [&]() -> dtask::task<dtask::errc> {
    co_return cause_of([&] { dtask::sync_wait(pool, ready()); });
  };
  CHECK(bounded_on(of_pool, of_the_pool()) == dtask::errc::invalid_argument);
}
