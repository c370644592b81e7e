// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/parts/result_slot.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN

/// Tasks that became ready together: collected by several `one_shot::set`, resumed by one wake-up per scheduler when
/// this is flushed or destroyed. Belongs to one thread.
class wake_batch {
 public:
  /// Resumes now what has been collected.
  void flush() noexcept { woken_.flush(); }

 private:
  template <class>
  friend class one_shot;
  detail::woken woken_;
};

/// A value that arrives once, from any thread: the answer to a call, the end of an operation that knows no coroutines.
/// One task waits for it.
///
/// It outlives its waiter and whoever sets it; `set` touches nothing after the waiter could have run.
template <class T = void>
class one_shot {
 public:
  /// Nothing has been stored.
  one_shot() noexcept = default;
  one_shot(const one_shot&) = delete;
  one_shot& operator=(const one_shot&) = delete;

  /// Stores the value and posts the waiting task to its scheduler. False: something had been stored before, this is
  /// dropped.
  template <class... Args>
  bool set(Args&&... args) {
    detail::woken ready;
    return store(ready, [&] { slot_.set(std::forward<Args>(args)...); });
  }
  /// The same, with the wake-up left to `batch`.
  template <class... Args>
  bool set_in(wake_batch& batch, Args&&... args) {
    return store(batch.woken_, [&] { slot_.set(std::forward<Args>(args)...); });
  }
  /// Ends the wait with an exception. False: something had been stored before, this is dropped.
  bool fail(std::exception_ptr e) noexcept {
    detail::woken ready;
    return store(ready, [&] { slot_.fail(std::move(e)); });
  }
  /// The same, with the wake-up left to `batch`.
  bool fail_in(wake_batch& batch, std::exception_ptr e) noexcept {
    return store(batch.woken_, [&] { slot_.fail(std::move(e)); });
  }
  /// Whether something has been stored.
  bool is_set() const noexcept {
    const detail::short_guard hold(lock_);
    return set_;
  }

  /// @cond internal
  class [[nodiscard]] wait_awaiter : public detail::wait_awaiter<wait_awaiter> {
   public:
    explicit wait_awaiter(one_shot& o) noexcept
        : detail::wait_awaiter<wait_awaiter>(o.lock_, o.waiting_), one_shot_(o) {}
    T await_resume() {
      this->finish();
      return one_shot_.slot_.take();
    }

   private:
    friend detail::wait_awaiter<wait_awaiter>;
    bool ready() const noexcept { return one_shot_.set_; }
    void take(detail::woken&) noexcept {}
    one_shot& one_shot_;
  };
  /// @endcond
  /// `T value = co_await o.wait();` moves the value out, or throws what `fail` stored. Throws `error(cancelled)` or
  /// `error(deadline_exceeded)` under stop; a later `set` is then harmless.
  wait_awaiter wait() noexcept { return wait_awaiter(*this); }

 private:
  template <class Store>
  bool store(detail::woken& ready, Store put) {
    const detail::short_guard hold(lock_);
    if (set_) return false;
    put();
    set_ = true;
    if (detail::waiter* const w = waiting_.pop()) ready.add(*w);
    return true;
  }
  mutable detail::short_lock lock_;
  detail::wait_list waiting_;
  bool set_ = false;
  detail::result_slot<T> slot_;
};

DTASK_END
