// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN

/// Mutual exclusion between tasks, held across awaits; first come first served. Thread safety: all members from any
/// thread; a guard may be released on another thread than the one that took it. It outlives its waiters and guards.
class mutex {
 public:
  /// Holds the mutex until it is destroyed. Move-only.
  class [[nodiscard]] guard {
   public:
    /// Holds nothing.
    guard() noexcept = default;
    /// Takes over what `other` holds.
    guard(guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    /// The same, after it has given back what it held itself.
    guard& operator=(guard&& other) noexcept {
      if (this != &other) {
        unlock();
        mutex_ = std::exchange(other.mutex_, nullptr);
      }
      return *this;
    }
    ~guard() { unlock(); }  ///< as `unlock`
    /// Gives the mutex back now, to who waits first; nothing where it holds none.
    void unlock() noexcept {
      if (mutex* const m = std::exchange(mutex_, nullptr)) m->unlock();
    }
    /// Whether it holds the mutex.
    explicit operator bool() const noexcept { return mutex_ != nullptr; }

   private:
    friend mutex;
    explicit guard(mutex* m) noexcept : mutex_(m) {}
    mutex* mutex_ = nullptr;
  };

  /// A guard that holds nothing where the mutex is taken.
  guard try_lock() noexcept {
    const detail::short_guard hold(lock_);
    return guard(std::exchange(held_, true) ? nullptr : this);
  }

  /// @cond internal
  class [[nodiscard]] lock_awaiter : public detail::wait_awaiter<lock_awaiter> {
   public:
    explicit lock_awaiter(mutex& m) noexcept : detail::wait_awaiter<lock_awaiter>(m.lock_, m.waiting_), mutex_(m) {}
    guard await_resume() {
      this->finish();
      return guard(&mutex_);
    }

   private:
    friend detail::wait_awaiter<lock_awaiter>;
    bool ready() const noexcept { return !mutex_.held_; }
    void take(detail::woken&) noexcept { mutex_.held_ = true; }
    mutex& mutex_;
  };
  /// @endcond
  /// `auto held = co_await m.lock();` Throws under stop, and then does not hold it.
  lock_awaiter lock() noexcept { return lock_awaiter(*this); }

 private:
  void unlock() noexcept {
    detail::woken next;
    const detail::short_guard hold(lock_);
    if (detail::waiter* const w = waiting_.pop())
      next.add(*w);
    else
      held_ = false;
  }
  detail::short_lock lock_;
  detail::wait_list waiting_;
  bool held_ = false;
};

DTASK_END
