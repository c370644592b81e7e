// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>

#include "dtask/base/config.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN

/// Counts down once to zero; tasks wait for that. Thread safety: all members from any thread. It outlives its waiters.
class latch {
 public:
  /// `count`: how often it is counted down until nobody waits any more; 0: nobody waits at all.
  explicit latch(std::size_t count) noexcept : count_(count) {}

  /// Takes `n` off, at most what is left; at zero all waiters are resumed.
  void count_down(std::size_t n = 1) noexcept {
    detail::woken waiters;
    const detail::short_guard hold(lock_);
    count_ -= n < count_ ? n : count_;
    if (count_ == 0) {
      while (detail::waiter* const w = waiting_.pop()) waiters.add(*w);
    }
  }
  /// What is left at this moment.
  std::size_t count() const noexcept {
    const detail::short_guard hold(lock_);
    return count_;
  }

  /// @cond internal
  class [[nodiscard]] wait_awaiter : public detail::wait_awaiter<wait_awaiter> {
   public:
    explicit wait_awaiter(latch& l) noexcept : detail::wait_awaiter<wait_awaiter>(l.lock_, l.waiting_), latch_(l) {}
    void await_resume() { this->finish(); }

   private:
    friend detail::wait_awaiter<wait_awaiter>;
    bool ready() const noexcept { return latch_.count_ == 0; }
    void take(detail::woken&) noexcept {}
    latch& latch_;
  };
  /// @endcond
  /// `co_await l.wait()`: until the count is zero. Throws under stop.
  wait_awaiter wait() noexcept { return wait_awaiter(*this); }

 private:
  mutable detail::short_lock lock_;
  detail::wait_list waiting_;
  std::size_t count_;
};

DTASK_END
