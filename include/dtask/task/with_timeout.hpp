// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/detail/child_environment.hpp"

DTASK_BEGIN
namespace detail {

/// A deadline: a stop source of its own and a timer that requests it.
class deadline_stop : timer {
 public:
  static constexpr const char* name = "with_timeout";
  deadline_stop(duration length, time_point until) noexcept : length_(length), until_(until) {
    expired = [](timer& t) noexcept { static_cast<deadline_stop&>(t).stop_.request_stop(errc::deadline_exceeded); };
  }
  deadline_stop(deadline_stop&& other) noexcept : deadline_stop(other.length_, other.until_) {}  // before it begins

  bool begin(environment& env) noexcept {
    if (env.stop->stop_requested()) return false;
    stop_.set_parent(*env.stop);
    env.stop = &stop_;
    const time_point now = env.where->now();
    const time_point until = length_ == duration::min() ? until_ : deadline_after(now, length_);
    // An earlier deadline above this one has its own timer.
    if (until >= env.deadline) return true;
    env.deadline = until;
    if (until <= now) {
      stop_.request_stop(errc::deadline_exceeded);
      return false;
    }
    where_ = env.where;
    where_->arm(*this, until);
    return true;
  }
  void end(const environment&) noexcept {
    if (where_) where_->cancel(*this);
  }

 private:
  stop_source stop_;
  duration length_;
  time_point until_;
  scheduler* where_ = nullptr;
};

}  // namespace detail

/// Awaits `awaitable` for at most `length` on the clock of its scheduler. Then it is stopped with the cause
/// `deadline_exceeded` and awaited to its end: what it returns nevertheless counts, otherwise the await throws
/// `error(deadline_exceeded)`. The deadline is in the environment, for calls to other processes to take along.
template <class Awaitable>
auto with_timeout(Awaitable&& awaitable, duration length) {
  return detail::changed_op<detail::task_result<Awaitable>, detail::deadline_stop>(
      detail::as_task(std::forward<Awaitable>(awaitable)), length < duration::zero() ? duration::zero() : length,
      never);
}

/// The same until a point in time; `never` adds no deadline.
template <class Awaitable>
auto with_deadline(Awaitable&& awaitable, time_point at) {
  return detail::changed_op<detail::task_result<Awaitable>, detail::deadline_stop>(
      detail::as_task(std::forward<Awaitable>(awaitable)), duration::min(), at);
}

DTASK_END
