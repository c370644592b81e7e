// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/debug.hpp"

#include <doctest/doctest.h>

#include <sstream>

#include "dtask/task/sleep.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<> innermost() {
  const int what = 7;
  co_await dtask::sleep_for(1s);
  throw what;
}
dtask::task<> between() {
  const int local = 0;
  static_cast<void>(local);
  co_await innermost();
}
}  // namespace

TEST_CASE("live tasks with their parents, and the stack of an exception") {
  manual_scheduler where;
  started t(where, between());
  where.run();
  std::ostringstream out;
  dtask::dump_tasks(out);
#if DTASK_DEBUG
  const auto stacks = dtask::live_tasks();
  REQUIRE(stacks.size() == 1);
  REQUIRE(stacks[0].size() == 2);
  CHECK(stacks[0][0].find("innermost") != std::string::npos);
  CHECK(stacks[0][1].find("between") != std::string::npos);
  CHECK(stacks[0][1].find("debug.test.cpp:") != std::string::npos);
  CHECK(out.str().find("innermost") != std::string::npos);
#else
  CHECK(dtask::live_tasks().empty());
  CHECK(out.str().find("DTASK_DEBUG=1") != std::string::npos);
#endif
  where.advance(1100ms);
  REQUIRE(t.ended());
  std::vector<std::string> stack{"nothing was thrown"};
  try {
    t.take();
  } catch (int) {
    stack = dtask::async_backtrace(std::current_exception());
  }
#if DTASK_DEBUG
  REQUIRE(stack.size() == 2);
  CHECK(stack[0].find("innermost") != std::string::npos);
  CHECK(stack[1].find("between") != std::string::npos);
  CHECK(dtask::live_tasks().empty());
#else
  CHECK(stack.empty());
#endif
}
