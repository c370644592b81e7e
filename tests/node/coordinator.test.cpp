// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/coordinator.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <string>
#include <utility>

#include "dtask/node/cluster.hpp"
#include "dtask/node/query_status.hpp"
#include "dtask/node/worker.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"

using namespace std::chrono_literals;

namespace {

std::promise<void>* begun = nullptr;
std::shared_future<void>* released = nullptr;
int gated(int n) {
  begun->set_value();
  released->wait_for(60s);
  return n;
}
using gated_job = dtask::function_job<"gated/1", &gated>;
using jobs = dtask::registry<gated_job>;

bool ends(dtask::coordinator& c) {
  return std::async(std::launch::async, [&c] { c.wait(); }).wait_for(60s) == std::future_status::ready;
}
template <class F>
dtask::errc code_of(F&& f) {
  try {
    f();
  } catch (const dtask::error& e) {
    CHECK_FALSE(e.cause().empty());
    return e.code();
  }
  return dtask::errc::ok;
}

}  // namespace

TEST_CASE("coordinator: any free port, told as an address that others can use") {
  dtask::coordinator one, other("tcp://127.0.0.1:0");
  CHECK(one.url().starts_with("tcp://127.0.0.1:"));
  CHECK(one.url() != "tcp://127.0.0.1:0");
  CHECK(one.url() != other.url());
  CHECK(one.status().workers.empty());
  dtask::work_pool pool(1);
  CHECK(dtask::sync_wait(pool, dtask::query_status(one.url())).workers.empty());
}

TEST_CASE("coordinator: what is no address, a port in use, and options that contradict each other") {
  using dtask::errc;
  for (const char* wrong :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "udp://127.0.0.1:1", ":::"}) {
    CAPTURE(wrong);
    CHECK(code_of([&] { dtask::coordinator c(wrong); }) == errc::invalid_argument);
  }
  dtask::coordinator first;
  CHECK(code_of([&] { dtask::coordinator c(first.url()); }) == errc::io_error);
  dtask::coordinator_options options;
  options.suspect_after = options.lost_after + 1s;
  CHECK(code_of([&] { dtask::coordinator c("127.0.0.1:0", options); }) == errc::invalid_argument);
}

TEST_CASE("coordinator: told to end, it ends, however often it is told, and its port is free again") {
  std::string url;
  SUBCASE("drain") {
    dtask::coordinator c;
    url = c.url();
    c.drain();
    c.drain();
    CHECK(ends(c));
    CHECK(ends(c));
  }
  SUBCASE("stop") {
    dtask::coordinator c;
    url = c.url();
    c.stop();
    c.stop();
    c.drain();
    CHECK(ends(c));
  }
  SUBCASE("destroyed") {
    dtask::coordinator c;
    url = c.url();
  }
  const dtask::coordinator again(url);  // throws where it cannot listen
}

TEST_CASE("coordinator: a drain lets an accepted job end and its result arrive") {
  std::promise<void> start, gate;
  std::shared_future<void> opened = gate.get_future().share();
  begun = &start;
  released = &opened;
  dtask::coordinator c;
  dtask::worker worker(c.url(), jobs::entries(), {.slots = 1});
  dtask::work_pool pool(2);
  auto body = [](dtask::coordinator& where, std::promise<void>& open) -> dtask::task<int> {
    auto connecting = dtask::cluster::connect<jobs>(where.url());
    dtask::cluster client = co_await std::move(connecting);
    auto handle = co_await client.submit<gated_job>(9);
    REQUIRE(begun->get_future().wait_for(60s) == std::future_status::ready);
    where.drain();
    const auto seen = where.status();  // after the drain, in the order of its thread
    CHECK(seen.workers.size() == 1);
    open.set_value();
    const int value = co_await handle.result();
    co_await client.close();
    co_return value;
  };
  CHECK(dtask::sync_wait(pool, dtask::with_timeout(body(c, gate), 100s)) == 9);
  CHECK(ends(c));
}
