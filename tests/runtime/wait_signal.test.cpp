// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/wait_signal.hpp"

#include <doctest/doctest.h>

#include <csignal>

#include "dtask/runtime/io_thread.hpp"
#include "dtask/task.hpp"
#include "task/manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

TEST_CASE("a signal is awaited; stop ends the wait") {
  dtask::io_thread io;
  const auto body = []() -> dtask::task<int> {
    const auto raises = []() -> dtask::task<> {
      // The other child runs first: it has installed its handler by now.
      std::raise(SIGUSR1);
      co_return;
    };
    auto both = co_await dtask::when_all(dtask::wait_signal(SIGUSR1, SIGUSR2), raises());
    co_return std::get<0>(both);
  };
  CHECK(bounded_on(io.scheduler(), body()) == SIGUSR1);
  const auto limited = []() -> dtask::task<int> {
    const dtask::duration limit = 5ms;
    co_return co_await dtask::with_timeout(dtask::wait_signal(SIGUSR1), limit);
  };
  CHECK(cause_of([&] { bounded_on(io.scheduler(), limited()); }) == dtask::errc::deadline_exceeded);
}
