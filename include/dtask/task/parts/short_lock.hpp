// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <thread>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// A lock of one byte for sections of a few instructions that run no foreign code. Yields while it waits, so it makes
/// progress with more threads than cores.
class short_lock {
 public:
  void lock() noexcept {
    while (held_.exchange(true, std::memory_order_acquire)) {
      for (int spin = 0; held_.load(std::memory_order_relaxed); ++spin) {
        if (spin >= 64) std::this_thread::yield();
      }
    }
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

/// `std::lock_guard` without the header `<mutex>`, which task.hpp does not need otherwise.
class short_guard {
 public:
  explicit short_guard(short_lock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~short_guard() { lock_.unlock(); }
  short_guard(const short_guard&) = delete;
  short_guard& operator=(const short_guard&) = delete;

 private:
  short_lock& lock_;
};

}  // namespace detail
DTASK_END
