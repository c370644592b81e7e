// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN

DTASK_INLINE io_scheduler::io_scheduler(boost::asio::execution_context& context, bool serial, bool owned)
    : boost::asio::execution_context::service(context),
      asio_scheduler(serial),
      context_(static_cast<boost::asio::io_context&>(context)),
      owned_(owned),
      wheel_(clock_type::now()) {}
DTASK_INLINE void io_scheduler::post(work_item& item) noexcept {
  work_list one;
  one.push(item);
  post_all(one);
}
DTASK_INLINE void io_scheduler::post_all(work_list items) noexcept {
  if (items.empty()) return;
  // Asio is asked under the lock, which the drain takes first: what is posted may end the context's last user while
  // we are still in here.
  const std::lock_guard hold(guard_);
  queue_.append(std::move(items));
  if (std::exchange(draining_, true)) return;
  boost::asio::post(context_, drainer{this});
}
DTASK_INLINE void io_scheduler::arm(timer& t, time_point at) noexcept {
  {
    const std::lock_guard hold(guard_);
    wheel_.arm(&t, at);
    if (at >= alarm_at_) return;
    alarm_at_ = at;
  }
  set_alarm();
}
DTASK_INLINE bool io_scheduler::cancel(timer& t) noexcept {
  std::unique_lock hold(guard_);
  if (wheel_.disarm(&t)) {
    // The context of a user must not be kept running by an alarm for nothing.
    if (owned_ || !wheel_.empty() || alarm_at_ == never) return true;
    alarm_at_ = never;
    hold.unlock();
    set_alarm();
    return true;
  }
  if (firing_thread_ != &detail::this_thread()) fired_.wait(hold, [&] { return firing_ != &t; });
  return false;
}
DTASK_INLINE void io_scheduler::shutdown() noexcept {
  const std::lock_guard hold(guard_);
  alarm_.reset();
  queue_ = work_list();
  draining_ = true;  // and nobody is asked to drain any more
}
DTASK_INLINE void io_scheduler::drain() noexcept {
  if (serial())
    drain_alone();
  else
    drain_beside_others();
}
DTASK_INLINE void io_scheduler::drain_alone() noexcept {
  work_list batch;
  {
    const std::lock_guard hold(guard_);
    batch = std::exchange(queue_, work_list());
  }
  while (work_item* const item = batch.pop()) item->run(*item);
  {
    const std::lock_guard hold(guard_);
    if (queue_.empty()) {
      draining_ = false;
      return;
    }
  }
  // What came meanwhile waits for its turn behind the context's other handlers.
  boost::asio::post(context_, drainer{this});
}
DTASK_INLINE void io_scheduler::drain_beside_others() noexcept {
  std::unique_lock hold(guard_);
  draining_ = false;
  // What comes meanwhile waits for its turn behind the context's other handlers.
  for (std::size_t left = queue_.size(); left > 0; --left) {
    work_item* const item = queue_.pop();
    if (!item) return;
    if (!queue_.empty() && !std::exchange(draining_, true)) boost::asio::post(context_, drainer{this});
    hold.unlock();
    item->run(*item);
    hold.lock();
  }
}
DTASK_INLINE void io_scheduler::set_alarm() noexcept {
  if (!runs_here()) {
    boost::asio::post(context_, alarm_setter{this});
    return;
  }
  const std::lock_guard hold(guard_);
  if (alarm_at_ == alarm_set_) return;
  alarm_set_ = alarm_at_;
  if (alarm_at_ == never) {
    alarm_->cancel();
    return;
  }
  if (!alarm_) alarm_.emplace(context_);
  alarm_->expires_at(std::chrono::time_point_cast<clock_type::duration>(alarm_at_));
  alarm_->async_wait([this](const boost::system::error_code& e) {
    if (!e) rang();
  });
}
DTASK_INLINE void io_scheduler::rang() noexcept {
  std::unique_lock hold(guard_);
  // Another thread is at it: it goes on until nothing is due, and then sets the alarm anew.
  if (firing_thread_) return;
  firing_thread_ = &detail::this_thread();
  while (timer* const t = wheel_.advance(clock_type::now())) {
    firing_ = t;
    hold.unlock();
    t->expired(*t);
    hold.lock();
    firing_ = nullptr;
    fired_.notify_all();
  }
  firing_thread_ = nullptr;
  alarm_set_ = never;
  alarm_at_ = wheel_.next_time();
  hold.unlock();
  set_alarm();
}

DTASK_END
