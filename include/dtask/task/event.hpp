// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"
#include "dtask/task/wait.hpp"

DTASK_BEGIN

/// A flag that tasks wait for. Stays set until `reset`.
/// Thread safety: all members from any thread. It outlives its waiters.
class event {
 public:
  event() noexcept = default;
  explicit event(bool set) noexcept : set_(set) {}

  /// Sets it and resumes all waiters, each on its own scheduler.
  void set() noexcept {
    detail::woken waiters;
    const detail::short_guard hold(lock_);
    set_ = true;
    while (detail::waiter* const w = waiting_.pop()) waiters.add(*w);
  }
  void reset() noexcept {
    const detail::short_guard hold(lock_);
    set_ = false;
  }
  bool is_set() const noexcept {
    const detail::short_guard hold(lock_);
    return set_;
  }

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
  /// `co_await e.wait()`: until it is set. Throws `error(cancelled)` or `error(deadline_exceeded)` under stop, even
  /// where it is set.
  wait_awaiter wait() noexcept { return wait_awaiter(*this); }

 private:
  mutable detail::short_lock lock_;
  detail::wait_list waiting_;
  bool set_ = false;
};

DTASK_END
