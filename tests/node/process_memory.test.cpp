// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/detail/process_memory.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <ranges>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include "dtask/node/cluster.hpp"
#include "dtask/node/coordinator.hpp"
#include "dtask/node/map_stream.hpp"
#include "dtask/node/worker.hpp"
#include "dtask/task/sync_wait.hpp"
#include "hurting_proxy.hpp"

using namespace std::chrono_literals;

namespace {

/// A result of so many bytes, all of them the last one of the argument.
dtask::bytes stretch(dtask::bytes from, std::uint64_t size) {
  dtask::mutable_bytes out(static_cast<std::size_t>(size));
  if (size != 0) std::memset(out.data(), from.empty() ? 0 : static_cast<int>(from[from.size() - 1]), out.size());
  return std::move(out).freeze();
}
using stretch_job = dtask::function_job<"stretch/1", &stretch, dtask::idempotent>;
using jobs = dtask::registry<stretch_job>;

/// From nothing to 4 MiB, each order of magnitude as likely as the others; and often some MiB, which take many frames.
std::size_t any_size(std::mt19937_64& draw) {
  if (draw() % 6 == 0) return (std::size_t{3} << 20) + static_cast<std::size_t>(draw() % (std::size_t{1} << 20));
  const std::size_t most = std::size_t{1} << (draw() % 23);
  return static_cast<std::size_t>(draw() % most);
}
std::uint64_t seed() {
  const char* const text = std::getenv("DTASK_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}
std::uint16_t port_of(const std::string& url) {
  return static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
}

dtask::task<std::size_t> send_all(dtask::cluster& c, std::size_t count, std::uint64_t from_seed,
                                  dtask_test::hurting_proxy& proxy) {
  std::mt19937_64 draw(from_seed);
  auto arguments = std::views::iota(std::size_t{0}, count) | std::views::transform([&draw](std::size_t n) {
                     dtask::mutable_bytes block(any_size(draw));
                     if (!block.empty()) std::memset(block.data(), static_cast<int>(n % 251), block.size());
                     const std::uint64_t wanted = any_size(draw);
                     return std::make_tuple(std::move(block).freeze(), wanted);
                   });
  auto results = c.map<stretch_job>(std::move(arguments), {.window = 8, .retries = 50});
  std::size_t good = 0;
  while (auto one = co_await results.next()) {
    const dtask::bytes value = one->value();
    good += value.empty() || value[0] == value[value.size() - 1];
    if (good % 50 == 49 && good < count * 3 / 4) proxy.cut_all();  // a break hides what a link has kept
  }
  co_return good;
}

}  // namespace

TEST_CASE("500 payloads of random sizes both ways, with breaks: every counter is as at the start") {
  INFO("DTASK_SEED=", seed());
  dtask::coordinator_options quick;
  quick.heartbeat = 50ms;
  dtask::coordinator middle("127.0.0.1:0", quick);
  dtask_test::hurting_proxy proxy(port_of(middle.url()), seed());
  dtask::worker one(proxy.url(), jobs::entries(), {.slots = 2}), two(proxy.url(), jobs::entries(), {.slots = 2});
  auto c = dtask::sync_wait(dtask::cluster::connect<jobs>(proxy.url()));
  CHECK(dtask::sync_wait(send_all(c, 500, seed(), proxy)) == 500);
  CHECK(proxy.hurts() != 0);
  // What was acknowledged last is let go a moment later; a worker says what it holds with its heartbeat.
  dtask::memory_use mine;
  dtask::cluster_status theirs;
  const auto nothing_is_held = [&] {
    bool none = mine.blocks == 0 && mine.arguments == 0 && mine.results == 0 && theirs.memory.arguments == 0 &&
                theirs.memory.results == 0 && theirs.workers.size() == 2;
    for (const dtask::worker_status& w : theirs.workers)
      none = none && w.memory.blocks == 0 && w.memory.arguments == 0 && w.memory.results == 0;
    return none;
  };
  for (const auto until = std::chrono::steady_clock::now() + 60s; std::chrono::steady_clock::now() < until;) {
    mine = c.memory();
    theirs = dtask::sync_wait(c.status());
    if (nothing_is_held()) break;
    std::this_thread::sleep_for(20ms);
  }
  CHECK(mine.blocks == 0);
  CHECK(mine.arguments == 0);
  CHECK(mine.results == 0);
  CHECK(theirs.memory.arguments == 0);
  CHECK(theirs.memory.results == 0);
  REQUIRE(theirs.workers.size() == 2);
  for (const dtask::worker_status& w : theirs.workers) {
    CHECK(w.memory.blocks == 0);
    CHECK(w.memory.arguments == 0);
    CHECK(w.memory.results == 0);
  }
  // Idle blocks stay under the pool's cap, and go when the last node does.
  CHECK(mine.idle <= dtask::block_pool::default_cap);
}

TEST_CASE("a client counts what it holds") {
  auto c = dtask::sync_wait(dtask::cluster::connect<jobs>("local://1"));
  dtask::mutable_bytes block(100'000);
  std::memset(block.data(), 1, block.size());
  const dtask::bytes value = std::move(block).freeze();
  dtask::sync_wait(c.broadcast("value", value));
  CHECK(c.memory().broadcasts == 100'000);
  CHECK(dtask::sync_wait(c.status()).memory.broadcasts == 100'000);
  CHECK(c.memory().resident > 1'000'000);
  CHECK(dtask::cluster().memory() == dtask::memory_use{});
}
