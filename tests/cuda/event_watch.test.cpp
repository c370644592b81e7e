// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/event_watch.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cuda/fake_device.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/resume_on.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/task/with_timeout.hpp"
#include "task/manual_scheduler.hpp"

using namespace std::chrono_literals;
using dtask::cuda::event_status;
using dtask::cuda::notice;
using dtask_test::bounded_on;
using dtask_test::fake_device;
using watch_type = dtask::cuda::event_watch<fake_device>;

namespace {

using pending_type = dtask::cuda::detail::pending_events<fake_device>;
/// Records who is resumed.
struct noting_scheduler : dtask::scheduler {
  noting_scheduler() : scheduler(true) {}
  void post(dtask::work_item& item) noexcept override { posted.push_back(&item); }
  dtask::time_point now() const noexcept override { return {}; }
  void arm(dtask::timer&, dtask::time_point) noexcept override {}
  bool cancel(dtask::timer&) noexcept override { return true; }
  bool runs_here() const noexcept override { return false; }
  std::vector<dtask::work_item*> posted;
};

}  // namespace

TEST_CASE("pending events: those that have come leave in order, the others stay") {
  fake_device device;
  noting_scheduler where;
  pending_type pending;
  std::array<fake_device::event, 5> events;
  std::array<pending_type::wait, 5> waits;
  for (std::size_t i = 0; i < waits.size(); ++i) {
    events[i] = device.enqueue(i % 2);  // stream 0: waits 0, 2, 4; stream 1: 1, 3
    waits[i].event = &events[i];
    waits[i].where = &where;
    waits[i].reported = i == 1;
    pending.add(waits[i]);
  }
  const auto look = [&] {
    dtask::detail::woken ended;
    return pending.look(device, ended);
  };
  CHECK(!look());
  CHECK(pending.size() == 5);
  device.advance(0, 2);
  CHECK(look());
  CHECK(where.posted == std::vector<dtask::work_item*>{&waits[0], &waits[2]});
  CHECK(!pending.reported());
  device.advance(1, 2);
  CHECK(look());
  CHECK(pending.size() == 1);
  CHECK(where.posted.back() == &waits[3]);
  device.fail(700);
  CHECK(look());
  CHECK(pending.empty());
  CHECK(waits[4].status == event_status{700});
  // The list is whole after its last one left.
  pending.add(waits[1]);
  CHECK(pending.reported());
  CHECK(look());
  CHECK(pending.empty());
}

namespace {

dtask::task<std::thread::id> waits_for(watch_type& watch, fake_device::event e) {
  co_await watch.event_done(e);
  co_return std::this_thread::get_id();
}
dtask::task<std::thread::id> waits_for_stream(watch_type& watch, std::size_t s, notice how) {
  co_await watch.stream_done(s, how);
  co_return std::this_thread::get_id();
}
dtask::task<std::thread::id> where_am_i() { co_return std::this_thread::get_id(); }
/// Goes on when the watch has looked `n` times more.
void let_it_look(fake_device& device, int n) {
  const int until = device.looks_so_far() + n;
  while (device.looks_so_far() < until) std::this_thread::yield();
}
/// A task under way on a thread of its own, whose end can be waited for.
template <class T>
class under_way {
 public:
  under_way(dtask::scheduler& where, dtask::task<T> t)
      : thread_(
            [this, &where](dtask::task<T> work) {
              try {
                value_.emplace(bounded_on(where, std::move(work)));
              } catch (...) {
                failure_ = std::current_exception();
              }
            },
            std::move(t)) {}
  T take() {
    thread_.join();
    if (failure_) std::rethrow_exception(failure_);
    return *value_;
  }

 private:
  std::optional<T> value_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("event watch: a task waits and goes on on its own scheduler") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  const auto home = bounded_on(pool, where_am_i());
  const auto e = device.enqueue(0);
  under_way<std::thread::id> task(pool, waits_for(watch, e));
  let_it_look(device, 3);
  device.advance(0);
  CHECK(task.take() == home);
  // What has come needs no wait.
  const int before = device.looks_so_far();
  CHECK(bounded_on(pool, waits_for(watch, e)) == home);
  CHECK(device.looks_so_far() == before + 1);
}

TEST_CASE("event watch: a stream, polled and reported") {
  for (const notice how : {notice::polling, notice::host_function}) {
    CAPTURE(static_cast<int>(how));
    fake_device device;
    {
      watch_type watch(device, {.watchdog = 24h});
      dtask::work_pool pool(1);
      device.enqueue(2);
      under_way<std::thread::id> task(pool, waits_for_stream(watch, 2, how));
      let_it_look(device, 1);
      // Behind the event: not waited for.
      device.enqueue(2);
      device.advance(2);
      CHECK(task.take() == bounded_on(pool, where_am_i()));
      CHECK(bounded_on(pool, waits_for_stream(watch, 3, how)) == bounded_on(pool, where_am_i()));  // an empty stream
    }
    CHECK(device.recorded == 2);
    CHECK(device.recycled == 2);
    CHECK(device.threads == 1);
  }
}

TEST_CASE("event watch: where the device takes no host function, it is polled") {
  fake_device device;
  device.refuse_calls = true;
  watch_type watch(device, {.watchdog = 24h});
  dtask::work_pool pool(1);
  device.enqueue(0);
  under_way<std::thread::id> task(pool, waits_for_stream(watch, 0, notice::host_function));
  let_it_look(device, 3);
  device.advance(0);
  task.take();
}

TEST_CASE("event watch: the watchdog sees an error of which no host function tells") {
  fake_device device;
  {
    watch_type watch(device, {.watchdog = 1ms});
    dtask::work_pool pool(1);
    device.enqueue(0);
    under_way<std::thread::id> task(pool, waits_for_stream(watch, 0, notice::host_function));
    let_it_look(device, 2);
    device.fail(719);
    CHECK_THROWS_WITH(task.take(), "device error 719");
    CHECK_THROWS_WITH(bounded_on(pool, waits_for_stream(watch, 0, notice::polling)), "device error 719");
  }
  CHECK(device.recorded == device.recycled);
  device.end();  // late: the watch has gone, what the host functions touch has not
}

TEST_CASE("event watch: an event that cannot be recorded is an error of the await") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  device.refuse_record = true;
  CHECK_THROWS_WITH(bounded_on(pool, waits_for_stream(watch, 0, notice::polling)), "no event");
}

namespace {
dtask::task<int> cancelled_wait(watch_type& watch, fake_device& device, fake_device::event e,
                                std::atomic<bool>& ended) {
  // Stands for what the device reads: it must live until the event.
  struct owner {
    explicit owner(std::atomic<bool>& f) : flag(f) {}
    ~owner() { flag = true; }
    owner(const owner&) = delete;
    owner& operator=(const owner&) = delete;
    std::atomic<bool>& flag;
  };
  const owner tensors(ended);
  co_await watch.event_done(e);
  (void)device;
  co_return 0;
}
dtask::task<int> under(dtask::stop_source& stop, dtask::task<int> t) {
  co_return co_await dtask::with_stop(stop, std::move(t));
}
}  // namespace

TEST_CASE("event watch: a cancelled wait goes on until the event, then throws") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  dtask::stop_source stop;
  std::atomic<bool> ended{false};
  const auto e = device.enqueue(0);
  under_way<int> task(pool, under(stop, cancelled_wait(watch, device, e, ended)));
  let_it_look(device, 2);
  stop.request_stop();
  let_it_look(device, 50);
  CHECK(!ended);
  device.advance(0);
  CHECK(dtask_test::cause_of([&] { task.take(); }) == dtask::errc::cancelled);
  CHECK(ended);
  // Stopped before: what has come is no result either.
  CHECK(dtask_test::cause_of([&] { bounded_on(pool, under(stop, cancelled_wait(watch, device, e, ended))); }) ==
        dtask::errc::cancelled);
}

TEST_CASE("event watch: a device's error counts more than a stop") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  dtask::stop_source stop;
  std::atomic<bool> ended{false};
  const auto e = device.enqueue(0);
  under_way<int> task(pool, under(stop, cancelled_wait(watch, device, e, ended)));
  let_it_look(device, 2);
  stop.request_stop();
  device.fail(2);
  CHECK_THROWS_WITH(task.take(), "device error 2");
}

namespace {
dtask::task<int> pair_of(watch_type& watch, fake_device::event a, fake_device::event b) {
  co_await dtask::when_all(watch.event_done(a), watch.event_done(b));
  co_return 1;
}
dtask::task<int> timed(watch_type& watch, fake_device::event e) {
  auto inner = waits_for(watch, e);
  co_await dtask::with_timeout(std::move(inner), 1ms);
  co_return 1;
}
}  // namespace

TEST_CASE("event watch: two streams together, whichever ends first") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(2);
  for (const bool swap : {false, true}) {
    const auto a = device.enqueue(0), b = device.enqueue(1);
    under_way<int> task(pool, pair_of(watch, a, b));
    let_it_look(device, 4);
    device.advance(swap ? 1 : 0);
    let_it_look(device, 4);
    device.advance(swap ? 0 : 1);
    CHECK(task.take() == 1);
  }
}

TEST_CASE("event watch: a deadline waits for the device too") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  const auto e = device.enqueue(0);
  under_way<int> task(pool, timed(watch, e));
  std::thread later([&] {
    // More than the deadline: at least that many looks of 50 us.
    let_it_look(device, 300);
    device.advance(0);
  });
  const auto cause = dtask_test::cause_of([&] { task.take(); });
  later.join();
  // Slow machines may see the event first; a result is then a result.
  CHECK((cause == dtask::errc::deadline_exceeded || cause == dtask::errc::ok));
}

TEST_CASE("event watch: the destructor waits for the device") {
  fake_device device;
  dtask::work_pool pool(1);
  auto watch = std::make_unique<watch_type>(device);
  const auto e = device.enqueue(0);
  under_way<std::thread::id> task(pool, waits_for(*watch, e));
  let_it_look(device, 2);
  std::atomic<bool> gone{false};
  std::thread closes([&] {
    watch.reset();
    gone = true;
  });
  let_it_look(device, 20);
  CHECK(!gone);
  device.advance(0);
  task.take();
  closes.join();
  CHECK(gone);
}

namespace {
dtask::task<long> chain(watch_type& watch, fake_device& device, std::size_t s, int n) {
  long sum = 0;
  for (int i = 0; i < n; ++i) {
    device.enqueue(s);
    co_await watch.stream_done(s, i % 3 == 0 ? notice::host_function : notice::polling);
    ++sum;
  }
  co_return sum;
}
dtask::task<long> chains(watch_type& watch, fake_device& device, int n) {
  std::vector<dtask::task<long>> all;
  for (std::size_t s = 0; s < fake_device::streams; ++s) all.push_back(chain(watch, device, s, n));
  const std::vector<long> sums = co_await dtask::when_all(std::move(all));
  long sum = 0;
  for (const long v : sums) sum += v;
  co_return sum;
}
}  // namespace

TEST_CASE("event watch: many waits from several threads") {
  fake_device device;
  watch_type watch(device, {.spin = 5us, .watchdog = 1ms});
  dtask::work_pool pool(3);
  constexpr int n = 200;
  std::atomic<bool> over{false};
  std::thread works([&] {
    // A device that ends whatever is queued.
    while (!over) {
      for (std::size_t s = 0; s < fake_device::streams; ++s) device.catch_up(s);
      std::this_thread::yield();
    }
  });
  CHECK(bounded_on(pool, chains(watch, device, n)) == long{n} * long{fake_device::streams});
  over = true;
  works.join();
}
