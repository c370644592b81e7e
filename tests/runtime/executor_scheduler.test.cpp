// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/executor_scheduler.hpp"

#include <doctest/doctest.h>

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
