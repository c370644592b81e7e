// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/job_handle.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>

#include "dtask/node/cluster.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"

using namespace std::chrono_literals;

namespace {

int doubled(int n) { return 2 * n; }
int fails(int n) { throw std::out_of_range("no place " + std::to_string(n)); }
void nothing() {}

// Set when the job that lasts has begun, and when it was stopped; new ones for each test.
struct signals {
  std::promise<void> begun, stopped;
};
signals* watched = nullptr;
dtask::task<int> lasts(int n) {
  watched->begun.set_value();
  try {
    co_await dtask::sleep_for(24h);
  } catch (...) {
    watched->stopped.set_value();
    throw;
  }
  co_return n;
}
// Fails where it is stopped, and does not say that it was.
dtask::task<int> fails_when_stopped(int n) {
  auto running = lasts(n);
  try {
    n = co_await std::move(running);
  } catch (...) {
    throw std::out_of_range("no place " + std::to_string(n));
  }
  co_return n;
}
// Does not look whether it is stopped.
int deaf(int n) {
  watched->begun.set_value();
  watched->stopped.get_future().wait();
  return n;
}

using doubled_job = dtask::function_job<"doubled/1", &doubled, dtask::pure>;
using fails_job = dtask::function_job<"fails/1", &fails>;
using nothing_job = dtask::function_job<"nothing/1", &nothing>;
using lasts_job = dtask::function_job<"lasts/1", &lasts>;
using fails_when_stopped_job = dtask::function_job<"fails_when_stopped/1", &fails_when_stopped>;
using deaf_job = dtask::function_job<"deaf/1", &deaf>;
using jobs = dtask::registry<doubled_job, fails_job, nothing_job, lasts_job, fails_when_stopped_job, deaf_job>;

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

TEST_CASE("job_handle: a value, nothing, or what the job threw; finished in each case") {
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    auto value = co_await c.submit<doubled_job>(21);
    const auto out = co_await value.outcome();
    CHECK(out.value() == 42);
    CHECK(out.attempts() == 1);
    CHECK_FALSE(out.worker().empty());
    CHECK(value.state() == dtask::job_state::finished);
    auto empty = co_await c.submit<nothing_job>();
    co_await empty.result();
    auto bad = co_await c.submit<fails_job>(7);
    const auto why = co_await bad.outcome();
    CHECK(why.error().code() == dtask::errc::job_failed);
    CHECK(why.error().message() == "no place 7");
    CHECK(bad.state() == dtask::job_state::finished);
  });
}

TEST_CASE("job_handle: a handle that is moved takes the job along") {
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    auto first = co_await c.submit<doubled_job>(4);
    dtask::job_handle<int> second(std::move(first));
    auto third = co_await c.submit<doubled_job>(5);
    third = std::move(second);  // the job that it had is cancelled, and is no matter here
    const int value = co_await third.result();
    CHECK(value == 8);
  });
}

TEST_CASE("job_handle: destroyed, it stops the job where it runs") {
  signals now;
  watched = &now;
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    {
      auto handle = co_await c.submit<lasts_job>(1);
      REQUIRE(watched->begun.get_future().wait_for(60s) == std::future_status::ready);
    }
    REQUIRE(watched->stopped.get_future().wait_for(60s) == std::future_status::ready);
    // The slot is free again.
    const int value = co_await c.call<doubled_job>(3);
    CHECK(value == 6);
  });
}

TEST_CASE("job_handle: cancelled twice is cancelled, and too late changes nothing") {
  signals now;
  watched = &now;
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    auto running = co_await c.submit<lasts_job>(1);
    REQUIRE(watched->begun.get_future().wait_for(60s) == std::future_status::ready);
    running.cancel();
    running.cancel();
    const auto end = co_await running.outcome();
    CHECK(end.error().code() == dtask::errc::cancelled);
    running.cancel();
    CHECK(running.state() == dtask::job_state::finished);
  });
}

TEST_CASE("job_handle: a job that fails after it was cancelled is cancelled, and its message says how it failed") {
  signals now;
  watched = &now;
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    auto running = co_await c.submit<fails_when_stopped_job>(7);
    REQUIRE(watched->begun.get_future().wait_for(60s) == std::future_status::ready);
    running.cancel();
    const auto end = co_await running.outcome();
    CHECK(end.error().code() == dtask::errc::cancelled);
    CHECK(end.error().message() == "cancelled; its end was job_failed: no place 7");
  });
}

TEST_CASE("job_handle: a job that ignores its cancel may still give its value") {
  signals now;
  watched = &now;
  on_one_worker([](dtask::cluster& c) -> dtask::task<> {
    auto running = co_await c.submit<deaf_job>(7);
    REQUIRE(watched->begun.get_future().wait_for(60s) == std::future_status::ready);
    running.cancel();
    watched->stopped.set_value();
    const auto end = co_await running.outcome();
    CHECK(end.value() == 7);
  });
}
