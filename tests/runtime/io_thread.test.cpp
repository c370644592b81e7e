// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/io_thread.hpp"

#include <doctest/doctest.h>

#include "dtask/task.hpp"
#include "task/manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<bool> stays(dtask::io_thread& io, int n) {
  bool always = io.scheduler().runs_here();
  for (int i = 0; i < n; ++i) {
    co_await dtask::sleep_for(1ms);
    always = always && io.scheduler().runs_here();
  }
  co_return always;
}
}  // namespace

TEST_CASE("tasks stay on the thread they were started on") {
  dtask::io_thread io;
  CHECK(io.scheduler().serial());
  CHECK(bounded_on(io.scheduler(), stays(io, 3)));
}

TEST_CASE("polling is switched on and off while the thread runs") {
  dtask::io_thread io;
  for (const auto polling : {0us, 20us, 0us, 50us}) {
    io.set_polling(polling);
    CHECK(bounded_on(io.scheduler(), stays(io, 2)));
  }
}

TEST_CASE("moving between two threads") {
  dtask::io_thread a, b;
  const auto body = [&]() -> dtask::task<bool> {
    const bool there = co_await dtask::on(b.scheduler(), stays(b, 1));
    co_return there&& a.scheduler().runs_here();
  };
  for (int i = 0; i < 20; ++i) CHECK(bounded_on(a.scheduler(), body()));
}

TEST_CASE("to block the thread for a task of its own is an error at once") {
  dtask::io_thread io;
  const auto body = [&]() -> dtask::task<dtask::errc> {
    const auto ready = []() -> dtask::task<> { co_return; };
    co_return cause_of([&] { dtask::sync_wait(io.scheduler(), ready()); });
  };
  CHECK(bounded_on(io.scheduler(), body()) == dtask::errc::invalid_argument);
}
