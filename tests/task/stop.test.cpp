// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/stop.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "manual_scheduler.hpp"

using dtask::errc;
using dtask::stop_source;

TEST_CASE("stop is for good, has one cause and reaches all descendants") {
  stop_source root;
  stop_source child(root);
  stop_source grandchild(child);
  stop_source sibling(root);
  CHECK_FALSE(grandchild.stop_requested());
  CHECK(child.request_stop(errc::deadline_exceeded));
  CHECK_FALSE(child.request_stop(errc::cancelled));
  CHECK(child.cause() == errc::deadline_exceeded);
  CHECK(grandchild.stop_requested());
  CHECK(grandchild.cause() == errc::deadline_exceeded);
  CHECK_FALSE(root.stop_requested());
  CHECK_FALSE(sibling.stop_requested());
  CHECK(sibling.cause() == errc::ok);
  stop_source born_late(grandchild);
  CHECK(born_late.stop_requested());
}

TEST_CASE("the source that never stops") {
  CHECK_FALSE(stop_source::none().stop_possible());
  CHECK_FALSE(stop_source::none().request_stop());
  CHECK_FALSE(stop_source::none().stop_requested());
  stop_source under(stop_source::none());
  CHECK(under.stop_possible());
  CHECK(under.request_stop());
}

TEST_CASE("callbacks run once, also those of descendants, and at once where stop came first") {
  stop_source root;
  stop_source child(root);
  int calls = 0;
  errc seen = errc::ok;
  const auto count = [&](errc cause) {
    ++calls;
    seen = cause;
  };
  const dtask::stop_callback<decltype(count)> first(dtask::stop_token(child), count);
  {
    const dtask::stop_callback<decltype(count)> gone(dtask::stop_token(child), count);
  }
  root.request_stop(errc::cancelled);
  CHECK(calls == 1);
  CHECK(seen == errc::cancelled);
  CHECK(child.stop_requested());
  const dtask::stop_callback<decltype(count)> late(dtask::stop_token(child), count);
  CHECK(calls == 2);
  CHECK_THROWS_AS(dtask::stop_token(child).check(), dtask::error);
}

TEST_CASE("a callback may destroy itself") {
  stop_source root;
  int calls = 0;
  std::optional<dtask::stop_callback<std::function<void(errc)>>> self;
  std::function<void(errc)> body = [&](errc) {
    ++calls;
    self.reset();
  };
  self.emplace(dtask::stop_token(root), body);
  root.request_stop();
  CHECK(calls == 1);
  CHECK_FALSE(self.has_value());
}

TEST_CASE("registering, removing and requesting from many threads") {
  for (int round = 0; round < 50; ++round) {
    stop_source root;
    std::atomic<int> called{0};
    std::atomic<int> ready{0};
    constexpr int workers = 3;
    std::vector<std::thread> threads;
    for (int w = 0; w < workers; ++w) {
      threads.emplace_back([&] {
        stop_source child(root);
        ++ready;
        while (!child.stop_requested()) {
          const auto count = [&](errc) { ++called; };
          const dtask::stop_callback<decltype(count)> callback(dtask::stop_token(child), count);
        }
        const auto count = [&](errc) { ++called; };
        const dtask::stop_callback<decltype(count)> after(dtask::stop_token(child), count);
      });
    }
    while (ready.load() < workers) std::this_thread::yield();
    root.request_stop();
    for (auto& t : threads) t.join();
    CHECK(called.load() >= workers);
  }
}
