// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <coroutine>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/transfer.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/parts/short_lock.hpp"

DTASK_BEGIN
namespace detail {

/// A suspended coroutine as a work item: `run` resumes it.
struct resumption : work_item {
  std::coroutine_handle<> handle;
  resumption() noexcept { run = &go_on; }
  static void go_on(work_item& self) noexcept { resume(static_cast<resumption&>(self).handle); }
};

class decision;

/// One task that waits in a wait_list. It is resumed on its own scheduler by whoever takes it out: the object it waits
/// for, or its stop.
struct waiter : resumption {
  scheduler* where = nullptr;
  waiter* previous = nullptr;
  waiter* following = nullptr;
  bool listed = false;
  bool answered = false;  ///< the object took it out of the list, or it never had to enter it
  bool stopped = false;   ///< the wait ended without the thing waited for
  bool competes = false;  ///< it is one operation of a select
  decision* part_of;      ///< where it `competes`: the select that is resumed in its place
};

/// The one decision of a select: which of its operations takes. Objects, timers and stop compete for it from any
/// thread; whoever claims it takes what it has to and then answers. Everybody else goes on as if it were not there.
class decision : public waiter {
 public:
  /// True once: the caller decides. Under its object's lock, where it can and will take.
  bool claim() noexcept { return (state_.fetch_or(claimed, std::memory_order_acq_rel) & claimed) == 0; }
  /// By the one who claimed, when all is done and its object's lock is free. True: the select sleeps, and the caller
  /// has it resumed.
  bool answer() noexcept { return (state_.fetch_or(answered_bit, std::memory_order_acq_rel) & asleep) != 0; }
  /// By the select, when all its operations are in their lists. False: it was answered meanwhile and goes on.
  bool fall_asleep() noexcept { return (state_.fetch_or(asleep, std::memory_order_acq_rel) & answered_bit) == 0; }

 private:
  static constexpr unsigned claimed = 1, answered_bit = 2, asleep = 4;
  std::atomic<unsigned> state_{0};
};

/// The waiters of one object, first come first served. Guarded by the object's lock.
class wait_list {
 public:
  void push(waiter& w) noexcept {
    w.listed = true;
    w.following = nullptr;
    w.previous = last_;
    if (last_)
      last_->following = &w;
    else
      first_ = &w;
    last_ = &w;
  }
  void remove(waiter& w) noexcept {
    if (w.previous)
      w.previous->following = w.following;
    else
      first_ = w.following;
    if (w.following)
      w.following->previous = w.previous;
    else
      last_ = w.previous;
    w.listed = false;
  }
  /// Takes out the first who is still there for it, or null. Those whose select is decided are passed over.
  waiter* pop() noexcept {
    while (waiter* const w = first_) {
      remove(*w);
      if (w->competes && !w->part_of->claim()) [[unlikely]]
        continue;
      w->answered = true;
      return w;
    }
    return nullptr;
  }

 private:
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

/// Waiters that were taken out under a lock, posted when this dies, after the lock was released.
class woken {
 public:
  woken() noexcept = default;
  woken(const woken&) = delete;
  woken& operator=(const woken&) = delete;
  ~woken() { flush(); }
  void add(waiter& w) noexcept { list_.push(w); }
  void flush() noexcept {
    while (!list_.empty()) {
      // Neighbours mostly share a scheduler: one wake-up for all of them.
      scheduler* const where = where_of(list_.front());
      work_list same;
      while (!list_.empty() && where_of(list_.front()) == where) same.push(*list_.pop());
      where->post_all(same);
    }
  }

 private:
  static scheduler* where_of(work_item& item) noexcept { return static_cast<waiter&>(item).where; }
  work_list list_;
};

template <class...>
class select_op;

/// Waiting in a list, ended by stop. `Derived` provides, both called under the object's lock, `bool ready() noexcept`,
/// whether what is waited for is there, and then `void take(woken&) noexcept`; waiters that this sets free are added to
/// its argument.
///
/// The stop callback is registered before the waiter enters the list, so that nothing touches the awaiter after another
/// thread could have resumed it.
template <class Derived>
class wait_awaiter : public waiter {
 public:
  /// `select` takes it.
  static constexpr bool selectable = true;
  wait_awaiter& operator=(wait_awaiter&&) = delete;

  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
    return begin(h, *h.promise().env);
  }

 protected:
  wait_awaiter(short_lock& lock, wait_list& list) noexcept : lock_(lock), list_(list) {}
  wait_awaiter(wait_awaiter&& other) noexcept : lock_(other.lock_), list_(other.list_) {}  // before it is awaited

  /// To be called first in `await_resume`. Throws where the wait was stopped.
  void finish() {
    if (on_stop_.source) on_stop_.source->remove(on_stop_);
    if (this->stopped) [[unlikely]]
      throw_stopped(*env_);
  }

 private:
  struct stop_entry : stop_link {
    wait_awaiter* self = nullptr;
  };
  bool begin(std::coroutine_handle<> h, const environment& env) noexcept {
    env_ = &env;
    if (env.stop->stop_requested()) {
      this->stopped = true;
      return false;
    }
    woken others;
    {
      const short_guard hold(lock_);
      if (take_ready(others)) return false;
    }
    this->handle = h;
    this->where = env.where;
    if (env.stop->stop_possible()) {
      on_stop_.self = this;
      on_stop_.fire = [](stop_link& link, errc) noexcept { static_cast<stop_entry&>(link).self->stop(); };
      if (!env.stop->add(on_stop_)) {
        this->stopped = true;
        return false;
      }
    }
    const short_guard hold(lock_);
    if (this->stopped) return false;
    if (take_ready(others)) {
      this->answered = true;  // a stop from now until finish() comes too late to take it away
      return false;
    }
    list_.push(*this);
    return true;
  }
  void stop() noexcept {
    {
      const short_guard hold(lock_);
      if (!this->listed) {
        // Not in the list yet, and begin() will see this; or already taken out by the object, whose answer stands.
        if (!this->answered) this->stopped = true;
        return;
      }
      list_.remove(*this);
      this->stopped = true;
    }
    this->where->post(*this);
  }
  bool take_ready(woken& others) noexcept {
    auto& self = *static_cast<Derived*>(this);
    if (!self.ready()) return false;
    self.take(others);
    return true;
  }

  // As one operation of a select, which is stopped as a whole.
  template <class...>
  friend class select_op;
  /// Takes it where that needs no waiting.
  bool take_now(woken& others) noexcept {
    const short_guard hold(lock_);
    this->answered = take_ready(others);
    return this->answered;
  }
  /// Enters the list. False: it need not, since the select is decided.
  bool enter(decision& all, woken& others) noexcept {
    this->part_of = &all;
    this->where = all.where;
    this->competes = true;
    // Posted like any other waiter, it resumes the select; or the select has not fallen asleep yet and goes on itself.
    this->run = [](work_item& self) noexcept {
      decision& whole = *static_cast<waiter&>(self).part_of;
      if (whole.answer()) resume(whole.handle);
    };
    const short_guard hold(lock_);
    if (!static_cast<Derived*>(this)->ready()) {
      list_.push(*this);
      return true;
    }
    if (all.claim()) {
      static_cast<Derived*>(this)->take(others);
      this->answered = true;
      all.answer();
    }
    return false;
  }
  /// The select is decided: afterwards the object knows nothing of it any more, and the operation can be used again.
  void leave() noexcept {
    {
      const short_guard hold(lock_);
      if (this->listed) list_.remove(*this);
    }
    this->competes = false;
    this->run = &resumption::go_on;
  }
  bool won() const noexcept { return this->answered; }

  short_lock& lock_;
  wait_list& list_;
  const environment* env_ = nullptr;
  stop_entry on_stop_;
};

}  // namespace detail
DTASK_END
