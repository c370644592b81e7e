// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/slab_ring.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <thread>

#include "cuda/fake_device.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sync_wait.hpp"
#include "task/manual_scheduler.hpp"

using namespace std::chrono_literals;
using dtask_test::bounded_on;
using dtask_test::cause_of;
using dtask_test::fake_device;
using watch_type = dtask::cuda::event_watch<fake_device>;

namespace {

struct counted_memory {
  int* live;
  int fails_at = -1;
  void* allocate(std::size_t bytes) {
    if (*live == fails_at) throw std::bad_alloc();
    ++*live;
    return ::operator new(bytes);
  }
  void release(void* p) noexcept {
    --*live;
    ::operator delete(p);
  }
};
using ring_type = dtask::cuda::slab_ring<fake_device, counted_memory>;

/// Writes `n` numbers through the ring; the device reads each slab only when it comes to that unit of work.
dtask::task<long> sends(ring_type& ring, fake_device& device, std::size_t on, long n) {
  for (long i = 0; i < n; ++i) {
    auto slab = co_await ring.next(sizeof(long));
    std::memcpy(slab.data(), &i, sizeof i);
    device.enqueue(on);
    ring.in_use(on);
  }
  co_return n;
}
}  // namespace

TEST_CASE("slab ring: a slab comes again when the device has read it, and not before") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  int live = 0;
  {
    ring_type ring(watch, 3, 64, {&live});
    CHECK(live == 3);
    CHECK(ring.slabs() == 3);
    CHECK(ring.slab_bytes() == 64);
    // Three fit.
    CHECK(bounded_on(pool, sends(ring, device, 0, 3)) == 3);
    std::optional<long> sent;
    std::thread more([&] { sent = bounded_on(pool, sends(ring, device, 0, 2)); });
    const int until = device.looks_so_far() + 20;
    while (device.looks_so_far() < until) std::this_thread::yield();
    device.advance(0);
    device.advance(0);
    more.join();
    CHECK(sent == 2);
    CHECK(device.recorded == 5);
    CHECK(live == 3);
    device.catch_up(0);
  }
  CHECK(live == 0);
  CHECK(device.recycled == device.recorded);
}

TEST_CASE("slab ring: the destructor waits for the device") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  int live = 0;
  std::optional<ring_type> ring;
  ring.emplace(watch, 2, 64, counted_memory{&live});
  bounded_on(pool, sends(*ring, device, 0, 2));
  std::atomic<bool> gone{false};
  std::thread ends([&] {
    ring.reset();
    gone = true;
  });
  const int until = device.looks_so_far() + 20;
  while (device.looks_so_far() < until) std::this_thread::yield();
  CHECK(!gone);
  device.catch_up(0);
  ends.join();
  CHECK(live == 0);
}

namespace {
dtask::task<long> too_much(ring_type& ring) {
  auto slab = co_await ring.next(65);
  co_return static_cast<long>(slab.size());
}
}  // namespace

TEST_CASE("slab ring: bounds and errors") {
  fake_device device;
  watch_type watch(device);
  dtask::work_pool pool(1);
  int live = 0;
  CHECK(cause_of([&] { ring_type(watch, 0, 64, {&live}); }) == dtask::errc::invalid_argument);
  CHECK(cause_of([&] { ring_type(watch, 1, 0, {&live}); }) == dtask::errc::invalid_argument);
  CHECK_THROWS_AS(ring_type(watch, 3, 64, {&live, 2}), std::bad_alloc);
  CHECK(live == 0);
  ring_type ring(watch, 1, 64, {&live});
  CHECK(cause_of([&] { bounded_on(pool, too_much(ring)); }) == dtask::errc::too_large);
  bounded_on(pool, sends(ring, device, 0, 1));
  device.fail(700);
  CHECK_THROWS_WITH(bounded_on(pool, sends(ring, device, 0, 1)), "device error 700");
}
