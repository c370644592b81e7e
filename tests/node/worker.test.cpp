// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/worker.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "dtask/node/cluster.hpp"
#include "dtask/node/coordinator.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"

using namespace std::chrono_literals;

namespace {

/// What its worker tells the object of a job, and the job.
struct told : dtask::job<"told/1", dtask::pure> {
  explicit told(dtask::worker_context& w) : made(w.device()) {}
  std::string operator()(dtask::job_context& ctx) { return made + " " + std::string(ctx.device()); }
  std::string made;
};
std::string outside() {
  dtask::job_context ctx({}, dtask::never, 1, 0, "nobody");
  return std::string(ctx.device());
}

/// What its destructor waits for, and whether that had come.
struct departure {
  std::promise<void> let_go;
  std::shared_future<void> gone = let_go.get_future().share();
  std::promise<bool> destroyed;
};
std::shared_ptr<departure> watched;
/// Its destructor does not return before it is let go.
struct lingers : dtask::job<"lingers/1", dtask::pure> {
  lingers() = default;
  lingers(const lingers&) = delete;
  lingers& operator=(const lingers&) = delete;
  ~lingers() { until->destroyed.set_value(until->gone.wait_for(60s) == std::future_status::ready); }
  int operator()() { return 1; }
  std::shared_ptr<departure> until = watched;
};
/// The same for what the jobs of a session share.
struct shares : dtask::job<"shares/1", dtask::pure> {
  explicit shares(dtask::worker_context& w)
      : all(w.shared<lingers>("lingers", [] { return std::make_shared<lingers>(); })) {}
  int operator()() { return 1; }
  std::shared_ptr<lingers> all;
};
using jobs = dtask::registry<told, lingers, shares>;

template <class Job>
dtask::task<> call_and_close(std::string url) {
  auto connecting = dtask::cluster::connect<jobs>(url);
  dtask::cluster c = co_await std::move(connecting);
  const int one = co_await c.call<Job>();
  CHECK(one == 1);
  co_await c.close();
}

dtask::task<std::string> ask(std::string url, dtask::cluster_options options) {
  auto connecting = dtask::cluster::connect<jobs>(url, options);
  dtask::cluster c = co_await std::move(connecting);
  const std::string answer = co_await c.call<told>();
  co_await c.close();
  co_return answer;
}
std::string answer(const std::string& url, const dtask::cluster_options& options = {}) {
  return dtask::sync_wait(dtask::with_timeout(ask(url, options), 60s));
}
dtask::errc cause_of_worker(const std::string& url, std::string_view device) {
  try {
    dtask::worker worker(url, jobs::entries(), {.device = device});
  } catch (const dtask::error& e) {
    return e.code();
  }
  return dtask::errc::ok;
}

}  // namespace

TEST_CASE("worker: its jobs hear of its device") {
  ::unsetenv("DTASK_DEVICE");
  CHECK(outside() == "cpu");
  CHECK(answer("local://1") == "cpu cpu");
  dtask::cluster_options options;
  options.worker.device = "cuda:3";
  CHECK(answer("local://1", options) == "cuda:3 cuda:3");
  dtask::coordinator coordinator;
  const dtask::worker worker(coordinator.url(), jobs::entries(), {.slots = 1, .device = "cuda"});
  CHECK(answer(coordinator.url()) == "cuda cuda");
}

TEST_CASE("worker: without an option the environment says, and what is no device is refused") {
  ::setenv("DTASK_DEVICE", "cuda:1", 1);
  CHECK(answer("local://1") == "cuda:1 cuda:1");
  ::setenv("DTASK_DEVICE", "fpga", 1);
  CHECK_THROWS_AS(answer("local://1"), dtask::error);
  ::unsetenv("DTASK_DEVICE");
  dtask::coordinator coordinator;
  CHECK(cause_of_worker(coordinator.url(), "cuda:") == dtask::errc::invalid_argument);
  CHECK(cause_of_worker(coordinator.url(), "cpu") == dtask::errc::ok);
}

TEST_CASE_TEMPLATE("worker: a destructor that does not return does not hold the end of a cluster", Job, lingers,
                   shares) {
  watched = std::make_shared<departure>();
  auto destroyed = watched->destroyed.get_future();
  SUBCASE("in this process") {
    dtask::sync_wait(dtask::with_timeout(call_and_close<Job>("local://1"), 100s));
    watched->let_go.set_value();
    CHECK(destroyed.get());  // closed before that
  }
  SUBCASE("of a worker that joined one") {
    dtask::coordinator coordinator;
    dtask::worker worker(coordinator.url(), jobs::entries(), {.slots = 1});
    dtask::sync_wait(dtask::with_timeout(call_and_close<Job>(coordinator.url()), 100s));
    CHECK_FALSE(worker.retire());
    watched->let_go.set_value();
    CHECK(destroyed.get());
  }
  SUBCASE("one that returns has returned when the cluster is closed") {
    watched->let_go.set_value();
    dtask::sync_wait(dtask::with_timeout(call_and_close<Job>("local://1"), 100s));
    REQUIRE(destroyed.wait_for(0s) == std::future_status::ready);
    CHECK(destroyed.get());
  }
  watched = nullptr;
}
