// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/cluster_of.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"

using namespace std::chrono_literals;

// That a job which is not in the registry does not compile: tests/compile_fail/call_unregistered.cpp.
namespace {

int doubled(int n) { return 2 * n; }
std::string joined(const std::string& a, const std::string& b) { return a + b; }
using doubled_job = dtask::function_job<"doubled/1", &doubled, dtask::pure>;
using joined_job = dtask::function_job<"joined/1", &joined, dtask::pure>;
using jobs = dtask::registry<doubled_job, joined_job>;

dtask::task<int> by_the_base(dtask::cluster& c) { return c.call<doubled_job>(5); }

dtask::task<> every_way() {
  auto connecting = dtask::cluster::connect<jobs>("local://1");
  dtask::cluster plain = co_await std::move(connecting);
  dtask::cluster_of<jobs> c(std::move(plain));
  const int called = co_await c.call<doubled_job>(1);
  CHECK(called == 2);
  const auto tried = co_await c.try_call<joined_job>("a", std::string("b"));
  CHECK(tried.value() == "ab");
  auto handle = co_await c.submit<doubled_job>(3);
  const int submitted = co_await handle.result();
  CHECK(submitted == 6);
  std::vector<int> items{1, 2, 3}, results;
  auto stream = c.map<doubled_job>(items, {.window = 1});
  while (auto each = co_await stream.next()) results.push_back(each->value());
  CHECK(results == std::vector<int>{2, 4, 6});
  const int base = co_await by_the_base(c);
  CHECK(base == 10);
  auto other = c.with({.deadline = 50s});
  static_assert(std::is_same_v<decltype(other), dtask::checked<jobs, dtask::caller>>);
  static_assert(std::is_same_v<decltype(other.with({})), dtask::checked<jobs, dtask::caller>>);
  CHECK(other.options().deadline == 50s);
  CHECK(c.options().deadline == dtask::default_deadline);
  const int through_other = co_await other.call<doubled_job>(7);
  CHECK(through_other == 14);
  co_await c.close();
}

}  // namespace

TEST_CASE("cluster_of: calls as a cluster does, takes its connection over, and stays one") {
  dtask::work_pool pool(2);
  dtask::sync_wait(pool, dtask::with_timeout(every_way(), 100s));
}
