// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/detail/frame_pool.hpp"

#include <doctest/doctest.h>

#include <set>
#include <thread>
#include <vector>

namespace detail = dtask::detail;

#if DTASK_FRAME_POOL
TEST_CASE("a freed frame is the next of its class, and classes do not mix") {
  std::thread fresh([] {
    void* const a = detail::allocate_frame(100);
    detail::free_frame(a, 100);
    CHECK(detail::allocate_frame(128) == a);
    void* const b = detail::allocate_frame(129);
    CHECK(b != a);
    detail::free_frame(a, 128);
    detail::free_frame(b, 129);
    void* const large = detail::allocate_frame(100'000);
    detail::free_frame(large, 100'000);
  });
  fresh.join();
}

TEST_CASE("what a thread keeps is capped, and a frame may die on another thread") {
  std::vector<void*> frames;
  for (int i = 0; i < 5000; ++i) frames.push_back(detail::allocate_frame(64));
  std::thread other([&] {
    detail::free_frame(detail::allocate_frame(1000), 1000);  // a thread has a pool from its first frame on
    for (void* f : frames) detail::free_frame(f, 64);
    std::size_t recycled = 0;
    const std::set<void*> known(frames.begin(), frames.end());
    std::vector<void*> again;
    for (int i = 0; i < 4096; ++i) {
      again.push_back(detail::allocate_frame(64));
      recycled += known.count(again.back());
    }
    CHECK(recycled == detail::frame_pool::kept_bytes / 64);
    for (void* f : again) detail::free_frame(f, 64);
  });
  other.join();
}
#else
TEST_CASE("without the pool frames come from the heap") {
  void* const a = detail::allocate_frame(100);
  CHECK(a != nullptr);
  detail::free_frame(a, 100);
}
#endif
