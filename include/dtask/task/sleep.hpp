// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <coroutine>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN
namespace detail {

class [[nodiscard]] sleep_awaiter : resumption, timer {
 public:
  /// `select` takes it.
  static constexpr bool selectable = true;
  sleep_awaiter(duration length, time_point until) noexcept : length_(length), until_(until) {}
  sleep_awaiter(sleep_awaiter&& other) noexcept
      : resumption(), timer(), length_(other.length_), until_(other.until_) {}  // before it is awaited
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
    return begin(h, *h.promise().env);
  }
  void await_resume() {
    if (on_stop_.source) on_stop_.source->remove(on_stop_);
    if (armed_) env_->where->cancel(*this);
    if (state_.load(std::memory_order_relaxed) & stop_won) [[unlikely]]
      throw_stopped(*env_);
  }

 private:
  struct stop_entry : stop_link {
    sleep_awaiter* self = nullptr;
  };
  static constexpr unsigned set_up = 1, ended = 2, stop_won = 4;

  bool begin(std::coroutine_handle<> h, const environment& env) noexcept {
    env_ = &env;
    handle = h;
    const time_point until = end_of(*env.where);
    expired = [](timer& t) noexcept { static_cast<sleep_awaiter&>(t).end(false); };
    on_stop_.self = this;
    on_stop_.fire = [](stop_link& link, errc) noexcept { static_cast<stop_entry&>(link).self->end(true); };
    if (env.stop->stop_requested() || !env.stop->add(on_stop_)) {
      state_.store(stop_won, std::memory_order_relaxed);
      return false;
    }
    armed_ = until != never;
    if (armed_) env.where->arm(*this, until);
    // Until this point neither the timer nor a stop resumes the task: they leave it to us.
    return (state_.fetch_or(set_up, std::memory_order_acq_rel) & ended) == 0;
  }
  time_point end_of(const scheduler& where) const noexcept {
    return length_ == duration::min() ? until_ : deadline_after(where.now(), length_);
  }

  // As one operation of a select, which is stopped as a whole.
  template <class...>
  friend class select_op;
  /// However short, it gives the others their turn.
  bool take_now(woken&) noexcept {
    state_.store(0, std::memory_order_relaxed);
    return false;
  }
  bool enter(decision& all, woken&) noexcept {
    all_ = &all;
    expired = [](timer& t) noexcept { static_cast<sleep_awaiter&>(t).expire(*static_cast<sleep_awaiter&>(t).all_); };
    const time_point until = end_of(*all.where);
    armed_ = until != never;
    if (armed_) all.where->arm(*this, until);
    return true;
  }
  void expire(decision& all) noexcept {
    if (!all.claim()) return;
    state_.store(ended, std::memory_order_relaxed);
    if (all.answer()) all.where->post(all);
  }
  void leave() noexcept {
    if (std::exchange(armed_, false)) all_->where->cancel(*this);
  }
  bool won() const noexcept { return (state_.load(std::memory_order_relaxed) & ended) != 0; }

  void end(bool by_stop) noexcept {
    const unsigned before = state_.fetch_or(ended | (by_stop ? stop_won : 0u), std::memory_order_acq_rel);
    if ((before & ended) == 0 && (before & set_up) != 0) env_->where->post(*this);
  }

  duration length_;
  time_point until_;
  const environment* env_ = nullptr;
  decision* all_ = nullptr;
  stop_entry on_stop_;
  std::atomic<unsigned> state_{0};
  bool armed_ = false;
};

}  // namespace detail

/// `co_await sleep_for(20ms)`: on the clock of the task's scheduler. Throws `error(cancelled)` or
/// `error(deadline_exceeded)` as soon as stop is requested.
inline detail::sleep_awaiter sleep_for(duration length) noexcept {
  return {length < duration::zero() ? duration::zero() : length, never};
}
/// The same until a point in time; `never` waits for stop alone.
inline detail::sleep_awaiter sleep_until(time_point at) noexcept { return {duration::min(), at}; }

DTASK_END
