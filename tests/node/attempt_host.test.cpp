// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/detail/attempt_host.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dtask/node/cluster.hpp"
#include "dtask/node/coordinator.hpp"
#include "dtask/node/worker.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "hurting_proxy.hpp"

using namespace std::chrono_literals;

namespace {

/// What the jobs of this process see, and what the test lets them see.
struct stage {
  std::atomic<int> tables_made{0};
  dtask::event entered, go_on;
} now_on;

struct seen {
  std::string value;
  std::uint64_t version = 0;
};
seen view(const dtask::blob& b) { return {std::string(b.value.view()), b.version}; }

seen reads(dtask::job_context& ctx, std::string name) { return view(ctx.blob(name)); }
dtask::task<seen> reads_late(dtask::job_context& ctx, std::string name) {
  now_on.entered.set();
  co_await now_on.go_on.wait();
  co_return view(ctx.blob(name));
}
dtask::task<std::uint64_t> fetches(dtask::job_context& ctx, std::string name) {
  const dtask::blob b = co_await ctx.fetch(name);
  std::uint64_t sum = 0;
  for (const char c : b.value.view()) sum += static_cast<unsigned char>(c);
  co_return sum;
}
/// Its own name and how often a table has been made, from one table for all slots.
dtask::task<std::string> made_table(std::string from) {
  co_await dtask::sleep_for(0ms);
  co_return from + std::to_string(++now_on.tables_made);
}
dtask::task<std::string> shares(dtask::job_context& ctx, std::string from) {
  auto make = [from] { return made_table(from); };
  auto coming = ctx.shared<std::string>("table", make);
  const auto table = co_await std::move(coming);
  co_return *table;
}
struct holds_a_table : dtask::job<"holds_a_table/1"> {
  explicit holds_a_table(dtask::worker_context& w)
      : table(w.shared<std::vector<int>>("numbers", [] {
          ++now_on.tables_made;
          return std::vector<int>{1, 2, 3};
        })) {}
  bool operator()(dtask::job_context& ctx) {
    return table == ctx.shared<std::vector<int>>("numbers", [] { return std::vector<int>(); });
  }
  std::shared_ptr<std::vector<int>> table;
};

using reads_job = dtask::function_job<"reads/1", &reads>;
using reads_late_job = dtask::function_job<"reads_late/1", &reads_late>;
using fetches_job = dtask::function_job<"fetches/1", &fetches, dtask::pure>;
using shares_job = dtask::function_job<"shares/1", &shares>;
using jobs = dtask::registry<reads_job, reads_late_job, fetches_job, shares_job, holds_a_table>;

template <class Body>
void on(std::string url, Body body, dtask::cluster_options options = {}) {
  auto all = [](std::string where, Body& b, dtask::cluster_options o) -> dtask::task<> {
    dtask::cluster c = co_await dtask::cluster::connect<jobs>(where, o);
    co_await b(c);
    co_await c.close();
  };
  dtask::sync_wait(all(std::move(url), body, std::move(options)));
}
std::uint64_t sum_of(std::size_t size, char fill) { return size * static_cast<unsigned char>(fill); }
dtask::bytes filled(std::size_t size, char with) { return dtask::bytes::from(std::string(size, with)); }

}  // namespace

TEST_CASE("attempt_host: a job reads what was broadcast, as of its start") {
  now_on.entered.reset();
  now_on.go_on.reset();
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    const auto nothing = co_await c.try_call<reads_job>("weights");
    REQUIRE_FALSE(nothing);
    CHECK(nothing.error().message().find("no broadcast named 'weights'") != std::string::npos);
    co_await c.broadcast("weights", dtask::bytes::copy("one"));
    const seen first = co_await c.call<reads_job>("weights");
    CHECK(first.value == "one");
    auto late = co_await c.submit<reads_late_job>("weights");
    co_await now_on.entered.wait();
    co_await c.broadcast("weights", dtask::bytes::copy("two"));
    now_on.go_on.set();
    const seen kept = co_await late.result();
    CHECK(kept.value == "one");
    CHECK(kept.version == first.version);
    const seen newer = co_await c.call<reads_job>("weights");
    CHECK(newer.value == "two");
    CHECK(newer.version > first.version);
    co_await c.withdraw("weights");
    const auto gone = co_await c.try_call<reads_job>("weights");
    CHECK_FALSE(gone);
    co_await c.publish("weights", dtask::bytes::copy("three"));
    const auto published = co_await c.try_call<reads_job>("weights");
    REQUIRE_FALSE(published);
    CHECK(std::string(published.error().what()).find("ctx.fetch") != std::string::npos);
  });
}

TEST_CASE("attempt_host: shards go to the workers whose jobs fetch them, and are let go") {
  dtask::coordinator coordinator("127.0.0.1:0");
  dtask::worker_options few;
  few.slots = 2;
  dtask::worker first(coordinator.url(), jobs::entries(), few), second(coordinator.url(), jobs::entries(), few);
  on(coordinator.url(), [](dtask::cluster& c) -> dtask::task<> {
    constexpr std::size_t size = 3'000'000;
    for (char shard = 'a'; shard < 'k'; ++shard) co_await c.publish(std::string(1, shard), filled(size, shard));
    std::vector<dtask::job_handle<std::uint64_t>> handles;
    for (int i = 0; i < 4; ++i)
      for (char shard = 'a'; shard < 'k'; ++shard)
        handles.push_back(co_await c.submit<fetches_job>(std::string(1, shard)));
    for (std::size_t i = 0; i < handles.size(); ++i) {
      const std::uint64_t got = co_await handles[i].result();
      CHECK(got == sum_of(size, static_cast<char>('a' + i % 10)));
    }
    const auto missing = co_await c.try_call<fetches_job>("z");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message().find("no value named 'z'") != std::string::npos);
    co_await c.publish("a", filled(10, 'x'));
    const std::uint64_t newer = co_await c.call<fetches_job>("a");
    CHECK(newer == sum_of(10, 'x'));
    for (char shard = 'a'; shard < 'k'; ++shard) co_await c.withdraw(std::string(1, shard));
    const auto withdrawn = co_await c.try_call<fetches_job>("b");
    CHECK_FALSE(withdrawn);
    const auto report = co_await c.status();
    CHECK(report.broadcast_bytes == 0);
    CHECK(c.memory().broadcasts == 0);
  });
}

TEST_CASE("attempt_host: what a worker may hold is little: values make room for each other") {
  dtask::coordinator coordinator("127.0.0.1:0");
  dtask::worker_options tight;
  tight.slots = 2;
  tight.broadcast_bytes = 2'500'000;
  dtask::worker worker(coordinator.url(), jobs::entries(), tight);
  on(coordinator.url(), [](dtask::cluster& c) -> dtask::task<> {
    for (char shard = 'a'; shard < 'f'; ++shard) co_await c.publish(std::string(1, shard), filled(1'000'000, shard));
    co_await c.publish("large", filled(3'000'000, 'l'));
    for (int i = 0; i < 3; ++i)
      for (char shard = 'a'; shard < 'f'; ++shard) {
        const std::uint64_t got = co_await c.call<fetches_job>(std::string(1, shard));
        CHECK(got == sum_of(1'000'000, shard));
      }
    const auto never = co_await c.try_call<fetches_job>("large");
    REQUIRE_FALSE(never);
    CHECK(never.error().code() == dtask::errc::job_failed);
    CHECK(never.error().message().find("over what this worker may hold") != std::string::npos);
  });
}

TEST_CASE("attempt_host: a fetch ends with its job: deadline, cancel, the end of the cluster") {
  dtask::coordinator coordinator("127.0.0.1:0");
  dtask::worker_options one;
  one.slots = 1;
  std::optional<dtask::worker> worker(std::in_place, coordinator.url(), jobs::entries(), one);
  on(coordinator.url(), [&](dtask::cluster& c) -> dtask::task<> {
    co_await c.publish("big", filled(50'000'000, 'b'));
    const auto limited = co_await c.with({.deadline = 1ms}).try_call<fetches_job>("big");
    if (!limited) CHECK(limited.error().code() == dtask::errc::deadline_exceeded);
    auto handle = co_await c.submit<fetches_job>("big");
    handle.cancel();
    const auto end = co_await handle.outcome();
    if (!end) CHECK(end.error().code() == dtask::errc::cancelled);
    auto left = co_await c.submit<fetches_job>("big");
    worker.reset();
    worker.emplace(coordinator.url(), jobs::entries(), one);
    const std::uint64_t got = co_await left.result();
    CHECK(got == sum_of(50'000'000, 'b'));
  });
}

TEST_CASE("attempt_host: fetches through links that are cut in the middle") {
  dtask::coordinator coordinator("127.0.0.1:0");
  const std::string url = coordinator.url();
  const auto port = static_cast<std::uint16_t>(std::stoul(url.substr(url.rfind(':') + 1)));
  dtask_test::hurting_proxy cut(port, 7, dtask_test::hurt::cut);
  const std::string through = "tcp://127.0.0.1:" + std::to_string(cut.port());
  dtask::worker_options few;
  few.slots = 2;
  dtask::worker first(through, jobs::entries(), few), second(through, jobs::entries(), few);
  on(url, [&](dtask::cluster& c) -> dtask::task<> {
    constexpr std::size_t size = 2'000'000;
    for (char shard = 'a'; shard < 'i'; ++shard) co_await c.publish(std::string(1, shard), filled(size, shard));
    for (int round = 0; round < 4; ++round) {
      std::vector<dtask::job_handle<std::uint64_t>> handles;
      for (char shard = 'a'; shard < 'i'; ++shard)
        handles.push_back(co_await c.submit<fetches_job>(std::string(1, shard)));
      for (std::size_t i = 0; i < handles.size(); ++i) {
        const std::uint64_t got = co_await handles[i].result();
        CHECK(got == sum_of(size, static_cast<char>('a' + i)));
      }
      // Anew in each round, so that it travels again.
      for (char shard = 'a'; shard < 'i'; ++shard) co_await c.publish(std::string(1, shard), filled(size, shard));
    }
    CHECK(cut.hurts() > 0);
  });
}

TEST_CASE("attempt_host: one object for all slots of a worker and one session") {
  now_on.tables_made = 0;
  on("local://4", [](dtask::cluster& c) -> dtask::task<> {
    std::vector<dtask::job_handle<std::string>> handles;
    for (int i = 0; i < 40; ++i) handles.push_back(co_await c.submit<shares_job>("first "));
    for (auto& h : handles) CHECK(co_await h.result() == "first 1");
  });
  CHECK(now_on.tables_made == 1);
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    const std::string other = co_await c.call<shares_job>("second ");
    CHECK(other == "second 2");
    const bool same = co_await c.call<holds_a_table>();
    CHECK(same);
  });
  CHECK(now_on.tables_made == 3);
}
