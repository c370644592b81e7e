// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/caller.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dtask/node/cluster.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"

using namespace std::chrono_literals;

namespace {

std::atomic<int> runs{0};
int third_time(int) {
  if (++runs < 3) throw std::runtime_error("not yet");
  return runs;
}
dtask::task<int> lasts(int n) {
  co_await dtask::sleep_for(24h);
  co_return n;
}
int doubled(int n) { return 2 * n; }

using third_time_job = dtask::function_job<"third.time/1", &third_time, dtask::pure>;
using lasts_job = dtask::function_job<"lasts/1", &lasts>;
using doubled_job = dtask::function_job<"doubled/1", &doubled, dtask::pure>;
using stranger_job = dtask::function_job<"stranger/1", &doubled>;
using jobs = dtask::registry<third_time_job, lasts_job, doubled_job>;

template <class Body>
void on_one_worker(Body body) {
  dtask::work_pool pool(2);
  auto all = [](Body& b) -> dtask::task<> {
    auto connecting = dtask::cluster::connect<jobs>("local://1");
    dtask::cluster c = co_await std::move(connecting);
    auto running = b(c);
    co_await std::move(running);
    co_await c.close();
  };
  dtask::sync_wait(pool, dtask::with_timeout(all(body), 100s));
}

}  // namespace

TEST_CASE("caller: with() gives the same cluster under those options alone") {
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    const dtask::caller urgent = c.with({.retries = 7, .deadline = 50s});
    CHECK(urgent.options().retries == 7);
    CHECK(urgent.options().deadline == 50s);
    CHECK(c.options().retries == 3);
    CHECK(c.options().deadline == dtask::default_deadline);
    // Not on top of others: what is not named is as by default.
    const dtask::caller again = urgent.with({.backoff = 1ms});
    CHECK(again.options().retries == 3);
    CHECK(again.options().backoff == 1ms);
    const dtask::caller copy = urgent;
    CHECK(copy.options().retries == 7);
    const int value = co_await copy.call<doubled_job>(4);
    CHECK(value == 8);
  });
}

TEST_CASE("caller: a deadline is that of its calls, and of no others") {
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    const dtask::caller hurried = c.with({.deadline = 20ms});
    const auto late = co_await hurried.try_call<lasts_job>(1);
    CHECK(late.error().code() == dtask::errc::deadline_exceeded);
    auto handle = co_await hurried.submit<lasts_job>(1);
    const auto also = co_await handle.outcome();
    CHECK(also.error().code() == dtask::errc::deadline_exceeded);
    const int value = co_await c.call<doubled_job>(2);
    CHECK(value == 4);
  });
}

TEST_CASE("caller: a job that throws runs again where that was asked for, and no oftener") {
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    runs = 0;
    const auto once = co_await c.try_call<third_time_job>(0);
    CHECK(once.error().code() == dtask::errc::job_failed);
    CHECK(runs == 1);
    runs = 0;
    const dtask::caller patient = c.with({.retries = 2, .retry_exceptions = true, .backoff = 1ms});
    const auto good = co_await patient.try_call<third_time_job>(0);
    CHECK(good.value() == 3);
    CHECK(good.attempts() == 3);
    runs = 0;
    const dtask::caller less = c.with({.retries = 1, .retry_exceptions = true, .backoff = 1ms});
    const auto bad = co_await less.try_call<third_time_job>(0);
    CHECK(bad.error().code() == dtask::errc::job_failed);
    CHECK(bad.error().message() == "not yet");
    CHECK(runs == 2);
  });
}

TEST_CASE("caller: a job that the registry does not have is `unknown_job` in each way of calling") {
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    const auto code = [](const dtask::error& e) {
      CHECK(e.cause().find("stranger/1") != std::string::npos);
      return e.code();
    };
    const auto tried = co_await c.try_call<stranger_job>(1);
    CHECK(code(tried.error()) == dtask::errc::unknown_job);
    std::optional<dtask::errc> submitted, mapped;
    try {
      auto handle = co_await c.submit<stranger_job>(1);
      const auto end = co_await handle.outcome();
      submitted = code(end.error());
    } catch (const dtask::error& e) {
      submitted = code(e);
    }
    CHECK(submitted == dtask::errc::unknown_job);
    try {
      const std::vector<int> items{1, 2};
      auto stream = c.map<stranger_job>(items);
      while (auto each = co_await stream.next()) mapped = each->error().code();
    } catch (const dtask::error& e) {
      mapped = code(e);
    }
    CHECK(mapped == dtask::errc::unknown_job);
  });
}
