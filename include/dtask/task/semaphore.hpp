// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN

/// A number of permits; who finds none waits, first come first served. Thread safety: all members from any thread; a
/// guard may be released on another thread than the one that took it. It outlives its waiters and guards.
class semaphore {
 public:
  /// `permits`: how many there are at the beginning.
  explicit semaphore(std::size_t permits) noexcept : permits_(permits) {}

  /// Holds one permit until it is destroyed. Move-only.
  class [[nodiscard]] guard {
   public:
    /// Holds nothing.
    guard() noexcept = default;
    /// Takes over what `other` holds.
    guard(guard&& other) noexcept : semaphore_(std::exchange(other.semaphore_, nullptr)) {}
    /// The same, after it has given back what it held itself.
    guard& operator=(guard&& other) noexcept {
      if (this != &other) {
        release();
        semaphore_ = std::exchange(other.semaphore_, nullptr);
      }
      return *this;
    }
    ~guard() { release(); }  ///< as `release`
    /// Gives the permit back now; nothing where it holds none.
    void release() noexcept {
      if (semaphore* const s = std::exchange(semaphore_, nullptr)) s->release();
    }
    /// Whether it holds a permit.
    explicit operator bool() const noexcept { return semaphore_ != nullptr; }

   private:
    friend semaphore;
    explicit guard(semaphore* s) noexcept : semaphore_(s) {}
    semaphore* semaphore_ = nullptr;
  };

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
  /// The same with a guard, which holds nothing where there was no permit.
  guard try_scoped_acquire() noexcept { return guard(try_acquire() ? this : nullptr); }
  /// Permits that nobody holds at this moment.
  std::size_t available() const noexcept {
    const detail::short_guard hold(lock_);
    return permits_;
  }

  /// @cond internal
  /// Gives nothing, or a guard.
  template <class Given>
  class [[nodiscard]] basic_acquire_awaiter : public detail::wait_awaiter<basic_acquire_awaiter<Given>> {
   public:
    explicit basic_acquire_awaiter(semaphore& s) noexcept
        : detail::wait_awaiter<basic_acquire_awaiter>(s.lock_, s.waiting_), semaphore_(s) {}
    Given await_resume() {
      this->finish();
      if constexpr (!std::is_void_v<Given>) return Given(&semaphore_);
    }

   private:
    friend detail::wait_awaiter<basic_acquire_awaiter>;
    bool ready() const noexcept { return semaphore_.permits_ != 0; }
    void take(detail::woken&) noexcept { --semaphore_.permits_; }
    semaphore& semaphore_;
  };
  using acquire_awaiter = basic_acquire_awaiter<void>;
  using scoped_acquire_awaiter = basic_acquire_awaiter<guard>;
  /// @endcond
  /// `co_await s.acquire()`: takes one permit. Throws under stop, and then holds none.
  acquire_awaiter acquire() noexcept { return acquire_awaiter(*this); }
  /// `auto held = co_await s.scoped_acquire();`: the same, until `held` is destroyed.
  scoped_acquire_awaiter scoped_acquire() noexcept { return scoped_acquire_awaiter(*this); }

 private:
  mutable detail::short_lock lock_;
  detail::wait_list waiting_;
  std::size_t permits_;
};

DTASK_END
