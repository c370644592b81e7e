// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN

/// A flag that tasks wait for. Stays set until `reset`.
/// Thread safety: all members from any thread. It outlives its waiters.
class event {
 public:
  /// Not set.
  event() noexcept = default;
  /// `set`: whether it is set from the beginning.
  explicit event(bool set) noexcept : set_(set) {}

  /// Sets it and resumes all waiters, each on its own scheduler.
  void set() noexcept {
    detail::woken waiters;
    const detail::short_guard hold(lock_);
    set_ = true;
    while (detail::waiter* const w = waiting_.pop()) waiters.add(*w);
  }
  /// Takes it back: who waits from now on waits for the next `set`. Those that were resumed are not affected.
  void reset() noexcept {
    const detail::short_guard hold(lock_);
    set_ = false;
  }
  /// Whether it is set at this moment.
  bool is_set() const noexcept {
    const detail::short_guard hold(lock_);
    return set_;
  }

  /// @cond internal
  class [[nodiscard]] wait_awaiter : public detail::wait_awaiter<wait_awaiter> {
   public:
    explicit wait_awaiter(event& e) noexcept : detail::wait_awaiter<wait_awaiter>(e.lock_, e.waiting_), event_(e) {}
    void await_resume() { this->finish(); }

   private:
    friend detail::wait_awaiter<wait_awaiter>;
    bool ready() const noexcept { return event_.set_; }
    void take(detail::woken&) noexcept {}
    event& event_;
  };
  /// @endcond
  /// `co_await e.wait()`: until it is set. Throws `error(cancelled)` or `error(deadline_exceeded)` under stop, even
  /// where it is set.
  wait_awaiter wait() noexcept { return wait_awaiter(*this); }

 private:
  mutable detail::short_lock lock_;
  detail::wait_list waiting_;
  bool set_ = false;
};

DTASK_END
