// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/sync_wait.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "dtask/task/one_shot.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/when_all.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<std::thread::id> thread_after_sleep() {
  const auto before = std::this_thread::get_id();
  co_await dtask::sleep_for(1ms);
  co_return before == std::this_thread::get_id() ? before : std::thread::id();
}
}  // namespace

TEST_CASE("the calling thread runs the task and its timers") {
  CHECK(bounded(thread_after_sleep()) == std::this_thread::get_id());
}

TEST_CASE("the environment can bring a stop source") {
  dtask::stop_source stop;
  stop.request_stop();
  dtask::environment env;
  env.stop = &stop;
  CHECK(cause_of([&] { dtask::sync_wait(thread_after_sleep(), env); }) == dtask::errc::cancelled);
}

TEST_CASE("awaitables other than tasks, and a wake-up from another thread") {
  dtask::one_shot<int> o;
  std::thread other([&] { o.set(3); });
  CHECK(dtask::sync_wait(o.wait()) == 3);
  other.join();
}

TEST_CASE("a run loop serves a task on another thread") {
  dtask::run_loop loop;
  bool end = false;
  std::thread runner([&] { loop.run_until([&] { return end; }); });
  CHECK(dtask::sync_wait(loop, thread_after_sleep()) == runner.get_id());
  dtask::work_item last;
  static bool* flag = nullptr;
  flag = &end;
  last.run = [](dtask::work_item&) noexcept { *flag = true; };
  loop.post(last);
  runner.join();
}

namespace {
/// The cause with which a task ends that waits for another one on the scheduler whose thread it has.
dtask::task<dtask::errc> waits_for(dtask::scheduler& where) {
  dtask::errc cause = dtask::errc::ok;
  try {
    dtask::sync_wait(where, dtask::sleep_for(0ms));
  } catch (const dtask::error& e) {
    CHECK_FALSE(e.remedy().empty());
    cause = e.code();
  }
  co_return cause;
}
dtask::task<dtask::errc> waits_inside(dtask::scheduler& where) {
  dtask::scheduler& outer = where;
  co_return dtask::sync_wait(waits_for(outer));
}
dtask::task<dtask::errc> waits_here(bool nested) {
  const bool inside = nested;
  const dtask::environment& env = co_await dtask::this_environment();
  auto t = inside ? waits_inside(*env.where) : waits_for(*env.where);
  co_return co_await std::move(t);
}
}  // namespace

TEST_CASE("to wait on the thread that shall run the task is an error at once") {
  CHECK(dtask::sync_wait(waits_here(false)) == dtask::errc::invalid_argument);
  // Also under a wait of another kind, which keeps the thread.
  CHECK(dtask::sync_wait(waits_here(true)) == dtask::errc::invalid_argument);
}

TEST_CASE("a task waits for another that runs here or elsewhere") {
  dtask::run_loop loop;
  bool end = false;
  std::thread runner([&] { loop.run_until([&] { return end; }); });
  CHECK(dtask::sync_wait(waits_for(loop)) == dtask::errc::ok);
  dtask::work_item last;
  static bool* flag = nullptr;
  flag = &end;
  last.run = [](dtask::work_item&) noexcept { *flag = true; };
  loop.post(last);
  runner.join();
}
