// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/channel.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "dtask/task/when_all.hpp"
#include "manual_scheduler.hpp"

using namespace dtask_test;

namespace {
dtask::task<> produce(dtask::channel<std::unique_ptr<int>>& c, int from, int to) {
  for (int i = from; i < to; ++i) co_await c.push(std::make_unique<int>(i));
}
dtask::task<std::vector<int>> consume(dtask::channel<std::unique_ptr<int>>& c) {
  std::vector<int> seen;
  while (auto v = co_await c.pop()) seen.push_back(**v);
  co_return seen;
}
dtask::task<> produce_and_close(dtask::channel<std::unique_ptr<int>>& c, int n) {
  const int count = n;
  co_await produce(c, 0, count);
  c.close();
}
}  // namespace

TEST_CASE("values keep their order through a small channel, and closing ends the reader") {
  for (const std::size_t capacity : {1u, 2u, 7u}) {
    dtask::channel<std::unique_ptr<int>> c(capacity);
    const auto body = [&]() -> dtask::task<std::vector<int>> {
      auto both = co_await dtask::when_all(consume(c), produce_and_close(c, 100));
      co_return std::get<0>(std::move(both));
    };
    const auto seen = bounded(body());
    REQUIRE(seen.size() == 100);
    for (int i = 0; i < 100; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("a full channel makes push wait; a closed one refuses") {
  manual_scheduler where;
  dtask::channel<std::unique_ptr<int>> c(2);
  started t(where, produce(c, 0, 3));
  where.run();
  CHECK_FALSE(t.ended());
  CHECK(c.size() == 2);
  auto extra = std::make_unique<int>(9);
  CHECK_FALSE(c.try_push(std::move(extra)));
  CHECK(extra);
  const auto first = c.try_pop();
  REQUIRE(first.has_value());
  CHECK(**first == 0);
  where.run();
  CHECK(t.ended());
  started waits(where, produce(c, 3, 4));
  where.run();
  c.close();
  where.run();
  CHECK(cause_of([&] { waits.take(); }) == dtask::errc::closed);
  CHECK_FALSE(c.try_push(std::move(extra)));
  started rest(where, consume(c));
  where.run();
  CHECK(rest.take() == std::vector<int>{1, 2});
}

TEST_CASE("stop ends a waiting reader and a waiting writer") {
  manual_scheduler where;
  dtask::channel<std::unique_ptr<int>> empty(1), full(1);
  CHECK(full.try_push(std::make_unique<int>(1)));
  dtask::stop_source stop;
  started reader(where, consume(empty), stop);
  started writer(where, produce(full, 0, 1), stop);
  where.run();
  stop.request_stop();
  where.run();
  CHECK(cause_of([&] { reader.take(); }) == dtask::errc::cancelled);
  CHECK(cause_of([&] { writer.take(); }) == dtask::errc::cancelled);
  CHECK(full.size() == 1);
}
