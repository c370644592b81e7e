// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>

#include "dtask/base/config.hpp"
#include "dtask/task/wait.hpp"

DTASK_BEGIN

/// A number of permits; who finds none waits, first come first served. Thread safety: all members from any thread. It
/// outlives its waiters.
class semaphore {
 public:
  /// `permits`: how many there are at the beginning.
  explicit semaphore(std::size_t permits) noexcept : permits_(permits) {}

  /// Gives back `n` permits. Waiters get theirs directly: a later comer cannot take them away.
  void release(std::size_t n = 1) noexcept {
    detail::woken waiters;
    const detail::short_guard hold(lock_);
    for (; n > 0; --n) {
      if (detail::waiter* const w = waiting_.pop())
        waiters.add(*w);
      else
        break;
    }
    permits_ += n;
  }
  /// Takes a permit without waiting; false: there is none.
  bool try_acquire() noexcept {
    const detail::short_guard hold(lock_);
    if (permits_ == 0) return false;
    --permits_;
    return true;
  }
  /// Permits that nobody holds at this moment.
  std::size_t available() const noexcept {
    const detail::short_guard hold(lock_);
    return permits_;
  }

  /// @cond internal
  class [[nodiscard]] acquire_awaiter : public detail::wait_awaiter<acquire_awaiter> {
   public:
    explicit acquire_awaiter(semaphore& s) noexcept
        : detail::wait_awaiter<acquire_awaiter>(s.lock_, s.waiting_), semaphore_(s) {}
    void await_resume() { this->finish(); }

   private:
    friend detail::wait_awaiter<acquire_awaiter>;
    bool ready() const noexcept { return semaphore_.permits_ != 0; }
    void take(detail::woken&) noexcept { --semaphore_.permits_; }
    semaphore& semaphore_;
  };
  /// @endcond
  /// `co_await s.acquire()`: takes one permit. Throws under stop, and then holds none.
  acquire_awaiter acquire() noexcept { return acquire_awaiter(*this); }

 private:
  mutable detail::short_lock lock_;
  detail::wait_list waiting_;
  std::size_t permits_;
};

DTASK_END
