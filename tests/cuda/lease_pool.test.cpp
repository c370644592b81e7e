// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/lease_pool.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <vector>

#include "task/manual_scheduler.hpp"

using dtask_test::manual_scheduler;
using dtask_test::started;
using pool_type = dtask::cuda::lease_pool<int>;

namespace {
dtask::task<std::optional<pool_type::lease>> take(pool_type& pool) {
  auto lease = co_await pool.acquire();
  co_return std::move(lease);
}
}  // namespace

TEST_CASE("lease pool: who comes while all are lent waits, first come first served") {
  manual_scheduler where;
  pool_type pool({7, 8});
  CHECK(pool.size() == 2);
  started a(where, take(pool)), b(where, take(pool)), c(where, take(pool)), d(where, take(pool));
  where.run();
  REQUIRE(a.ended());
  REQUIRE(b.ended());
  CHECK(!c.ended());
  CHECK(pool.free() == 0);
  std::optional<pool_type::lease> first = a.take(), second = b.take();
  CHECK(**first == 7);
  CHECK(**second == 8);
  second.reset();
  where.run();
  REQUIRE(c.ended());
  CHECK(!d.ended());
  CHECK(**c.take() == 8);  // given back at once
  where.run();
  REQUIRE(d.ended());
  auto last = d.take();
  CHECK(**last == 8);
  *last = std::move(*first);  // gives its own back
  CHECK(pool.free() == 1);
  last.reset();
  CHECK(pool.free() == 2);
}

TEST_CASE("lease pool: stop ends the wait, and a lease may outlive the pool") {
  manual_scheduler where;
  auto pool = std::make_unique<pool_type>(std::vector<int>{1});
  started held(where, take(*pool));
  dtask::stop_source stop;
  started waits(where, take(*pool), stop);
  where.run();
  CHECK(!waits.ended());
  stop.request_stop();
  where.run();
  REQUIRE(waits.ended());
  CHECK(dtask_test::cause_of([&] { waits.take(); }) == dtask::errc::cancelled);
  auto lease = held.take();
  pool.reset();
  CHECK(**lease == 1);
  lease.reset();
}

TEST_CASE("lease pool: of nothing is refused") { CHECK_THROWS_AS(pool_type(std::vector<int>{}), dtask::error); }
