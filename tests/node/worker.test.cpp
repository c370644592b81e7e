// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/worker.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <chrono>
#include <string>

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
using jobs = dtask::registry<told>;

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
