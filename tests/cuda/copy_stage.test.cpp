// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/copy_stage.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "dtask/data/data_loader.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/sync_wait.hpp"
#include "task/manual_scheduler.hpp"

using namespace std::chrono_literals;
using dtask_test::bounded_on;

namespace {

/// A batch is the numbers of its samples.
struct numbers {
  using batch = std::vector<std::uint64_t>;
  std::uint64_t size() const { return 40; }
  std::uint64_t fingerprint() const { return 7; }
  batch gather(std::span<const std::uint64_t> samples, dtask::sample_keys) const {
    return {samples.begin(), samples.end()};
  }
};
using loader_type = dtask::data_loader<numbers>;

/// Counts what was copied and not handed over, and fails where it is told to.
struct counting_copier {
  struct copied {
    std::vector<std::uint64_t> batch;
  };
  struct counts {
    std::atomic<int> started{0}, ahead{0}, most_ahead{0}, fail_at{-1};
    std::atomic<bool> handed_over_elsewhere{false};
    std::thread::id consumer;
  };
  counts* c;
  dtask::task<copied> start(std::vector<std::uint64_t> batch) { return start_it(c, std::move(batch)); }
  std::vector<std::uint64_t> hand_over(copied from) {
    --c->ahead;
    if (std::this_thread::get_id() != c->consumer) c->handed_over_elsewhere = true;
    return std::move(from.batch);
  }
  static dtask::task<copied> start_it(counts* c, std::vector<std::uint64_t> batch) {
    if (c->started++ == c->fail_at) throw std::runtime_error("out of device memory");
    const int ahead = ++c->ahead;
    int most = c->most_ahead;
    while (most < ahead && !c->most_ahead.compare_exchange_weak(most, ahead)) {
    }
    copied out{std::move(batch)};
    co_return out;
  }
};
using stage_type = dtask::cuda::copy_stage<loader_type, counting_copier>;
using all_batches = std::vector<std::vector<std::uint64_t>>;

dtask::task<all_batches> straight(loader_type& loader, std::uint64_t epochs) {
  all_batches out;
  for (std::uint64_t e = 0; e < epochs; ++e) {
    loader.start_epoch(e);
    while (auto b = co_await loader.next()) out.push_back(std::move(*b));
  }
  co_return out;
}
dtask::task<all_batches> staged(dtask::scope& s, loader_type loader, counting_copier::counts* counts,
                                std::uint64_t epochs) {
  all_batches out;
  stage_type stage(s, std::move(loader), counting_copier{counts}, 2);
  for (std::uint64_t e = 0; e < epochs; ++e) {
    stage.start_epoch(e);
    for (;;) {
      counts->consumer = std::this_thread::get_id();
      auto b = co_await stage.next();
      if (!b) break;
      out.push_back(std::move(*b));
    }
  }
  co_await s.join();
  co_return out;
}
dtask::loader_options options(dtask::scheduler& where) {
  return {.batch = 4, .seed = 3, .prefetch = 3, .scheduler = &where};
}

}  // namespace

TEST_CASE("copy stage: the loader's batches in its order, a bounded number ahead, handed over where they are used") {
  dtask::work_pool pool(1), loads(1);
  loader_type plain(numbers{}, options(loads));
  const all_batches expected = bounded_on(pool, straight(plain, 3));
  CHECK(expected.size() == 30);
  loader_type loader(numbers{}, options(loads));
  counting_copier::counts counts;
  auto body = dtask::with_scope(staged, std::move(loader), &counts, 3);
  CHECK(bounded_on(pool, std::move(body)) == expected);
  CHECK(counts.started == 30);
  CHECK(counts.ahead == 0);
  CHECK(counts.most_ahead >= 1);
  CHECK(counts.most_ahead <= 4);  // two that wait, one on its way to the consumer, one under way
  CHECK(!counts.handed_over_elsewhere);
}

namespace {
struct progress {
  all_batches out;
  dtask::loader_state state;
  std::string failure;
};
/// Takes `n` batches and leaves the rest.
dtask::task<progress> some(dtask::scope& s, loader_type loader, counting_copier::counts* counts, int n) {
  progress p;
  counts->consumer = std::this_thread::get_id();
  stage_type stage(s, std::move(loader), counting_copier{counts}, 2);
  p.state = stage.state();
  for (int i = 0; i < n; ++i) {
    try {
      auto b = co_await stage.next();
      if (!b) break;
      p.out.push_back(std::move(*b));
    } catch (const std::runtime_error& e) {
      p.failure = e.what();
      --i;
    }
    p.state = stage.state();
  }
  co_return p;
}
}  // namespace

TEST_CASE("copy stage: its state is that of the one who consumes, and goes on from there") {
  dtask::work_pool pool(1), loads(1);
  loader_type plain(numbers{}, options(loads));
  const all_batches expected = bounded_on(pool, straight(plain, 1));
  for (const int taken : {0, 1, 4, 9, 10}) {
    CAPTURE(taken);
    loader_type loader(numbers{}, options(loads));
    counting_copier::counts counts;
    auto body = dtask::with_scope(some, std::move(loader), &counts, taken);
    const progress first = bounded_on(pool, std::move(body));
    CHECK(first.out == all_batches(expected.begin(), expected.begin() + taken));
    loader_type other(numbers{}, options(loads));
    other.restore(first.state);
    counting_copier::counts again;
    auto rest = dtask::with_scope(some, std::move(other), &again, 100);
    CHECK(bounded_on(pool, std::move(rest)).out == all_batches(expected.begin() + taken, expected.end()));
  }
}

TEST_CASE("copy stage: a copy that fails is thrown at its place, and the batch is tried again") {
  dtask::work_pool pool(1), loads(1);
  loader_type plain(numbers{}, options(loads));
  const all_batches expected = bounded_on(pool, straight(plain, 1));
  for (const int at : {0, 1, 5, 9}) {
    CAPTURE(at);
    loader_type loader(numbers{}, options(loads));
    counting_copier::counts counts;
    counts.fail_at = at;
    auto body = dtask::with_scope(some, std::move(loader), &counts, 100);
    const progress p = bounded_on(pool, std::move(body));
    CHECK(p.failure == "out of device memory");
    CHECK(p.out == expected);
  }
}

namespace {
dtask::task<dtask::errc> stopped_before(dtask::scheduler& where, loader_type loader, counting_copier::counts* counts) {
  const dtask::environment& mine = co_await dtask::this_environment();
  dtask::stop_source stop;
  dtask::environment env = mine;
  env.where = &where;
  env.stop = &stop;
  dtask::scope s(env);
  stage_type stage(s, std::move(loader), counting_copier{counts}, 2);
  stop.request_stop();
  auto cause = dtask::errc::ok;
  try {
    co_await stage.next();
  } catch (const dtask::error& e) {
    cause = e.code();
  }
  co_await s.close();
  co_return cause;
}
}  // namespace

namespace {
dtask::task<int> busy(dtask::scope& s, loader_type loader, counting_copier::counts* counts) {
  counts->consumer = std::this_thread::get_id();
  stage_type stage(s, std::move(loader), counting_copier{counts}, 2);
  stage.start_epoch(1);
  auto first = co_await stage.next();
  CHECK(first.has_value());
  const auto cause = [&](auto call) { return dtask_test::cause_of([&] { call(); }); };
  CHECK(cause([&] { stage.start_epoch(2); }) == dtask::errc::invalid_argument);
  CHECK(cause([&] { stage.restore(stage.state()); }) == dtask::errc::invalid_argument);
  CHECK(cause([&] { stage.loader(); }) == dtask::errc::invalid_argument);
  while (auto b = co_await stage.next()) CHECK(b->size() == 4);
  stage.start_epoch(2);
  CHECK(stage.loader().state().epoch == 2);
  co_return 1;
}
}  // namespace

TEST_CASE("copy stage: the loader is left alone while an epoch is under way") {
  dtask::work_pool pool(1), loads(1);
  loader_type loader(numbers{}, options(loads));
  counting_copier::counts counts;
  auto body = dtask::with_scope(busy, std::move(loader), &counts);
  CHECK(bounded_on(pool, std::move(body)) == 1);
}

TEST_CASE("copy stage: stopped before it began, whoever waits hears of it") {
  dtask::work_pool pool(1), loads(1);
  loader_type loader(numbers{}, options(loads));
  counting_copier::counts counts;
  CHECK(bounded_on(pool, stopped_before(pool, std::move(loader), &counts)) == dtask::errc::cancelled);
}
