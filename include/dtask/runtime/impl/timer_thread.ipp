// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace detail {

DTASK_INLINE timer_thread::~timer_thread() {
  {
    const std::lock_guard hold(guard_);
    ending_ = true;
    wake_.notify_one();
  }
  thread_.join();
}
DTASK_INLINE void timer_thread::arm(timer& t, time_point at) noexcept {
  const std::lock_guard hold(guard_);
  wheel_.arm(&t, at);
  if (at < sleeps_until_) wake_.notify_one();
}
DTASK_INLINE bool timer_thread::cancel(timer& t) noexcept {
  std::unique_lock hold(guard_);
  if (wheel_.disarm(&t)) return true;
  if (std::this_thread::get_id() != thread_.get_id()) fired_.wait(hold, [&] { return firing_ != &t; });
  return false;
}
DTASK_INLINE void timer_thread::run() noexcept {
  std::unique_lock hold(guard_);
  while (!ending_) {
    if (timer* const t = wheel_.advance(clock_type::now())) {
      firing_ = t;
      hold.unlock();
      t->expired(*t);
      hold.lock();
      firing_ = nullptr;
      fired_.notify_all();
      continue;
    }
    sleeps_until_ = wheel_.next_time();
    if (sleeps_until_ == never)
      wake_.wait(hold);
    else
      wake_.wait_until(hold, sleeps_until_);
    sleeps_until_ = time_point::min();
  }
}

}  // namespace detail
DTASK_END
