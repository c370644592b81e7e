// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/task/thread_state.hpp"
#include "dtask/task/timer_wheel.hpp"

DTASK_BEGIN

/// The scheduler of an `io_context`: an Asio service, one per context, found with `scheduler_of(context)`.
///
/// What is posted while the context is busy runs as one batch after one wake-up; where several threads run the context,
/// they share the batch. All timers share one wheel and one Asio timer. Lives as long as its context. Items that are
/// queued when the context dies are never run: tasks end before it.
class io_scheduler final : public boost::asio::execution_context::service, public asio_scheduler {
 public:
  using key_type = io_scheduler;
  inline static boost::asio::execution_context::id id;

  /// By Asio, for a context that the user runs, perhaps on several threads.
  explicit io_scheduler(boost::asio::execution_context& context) : io_scheduler(context, false, false) {}
  /// `serial`: the context is run by one thread. `owned`: it runs until it is stopped, with or without work.
  io_scheduler(boost::asio::execution_context& context, bool serial, bool owned)
      : boost::asio::execution_context::service(context),
        asio_scheduler(serial),
        context_(static_cast<boost::asio::io_context&>(context)),
        owned_(owned),
        wheel_(clock_type::now()) {}

  void post(work_item& item) noexcept override {
    work_list one;
    one.push(item);
    post_all(one);
  }
  void post_all(work_list items) noexcept override {
    if (items.empty()) return;
    // Asio is asked under the lock, which the drain takes first: what is posted may end the context's last user while
    // we are still in here.
    const std::lock_guard hold(guard_);
    queue_.append(std::move(items));
    if (std::exchange(draining_, true)) return;
    boost::asio::post(context_, drainer{this});
  }
  time_point now() const noexcept override { return clock_type::now(); }
  void arm(timer& t, time_point at) noexcept override {
    {
      const std::lock_guard hold(guard_);
      wheel_.arm(t, at);
      if (at >= alarm_at_) return;
      alarm_at_ = at;
    }
    set_alarm();
  }
  bool cancel(timer& t) noexcept override {
    std::unique_lock hold(guard_);
    if (wheel_.cancel(t)) {
      // The context of a user must not be kept running by an alarm for nothing.
      if (owned_ || wheel_.size() != 0 || alarm_at_ == never) return true;
      alarm_at_ = never;
      hold.unlock();
      set_alarm();
      return true;
    }
    if (firing_thread_ != &detail::this_thread()) fired_.wait(hold, [&] { return firing_ != &t; });
    return false;
  }
  bool runs_here() const noexcept override {
    return detail::this_thread().current == this || context_.get_executor().running_in_this_thread();
  }
  boost::asio::any_io_executor executor() noexcept override { return context_.get_executor(); }
  boost::asio::io_context& context() noexcept { return context_; }

 private:
  struct drainer {
    io_scheduler* self;
    void operator()() const { self->drain(); }
  };
  struct alarm_setter {
    io_scheduler* self;
    void operator()() const { self->set_alarm(); }
  };
  void shutdown() noexcept override {
    const std::lock_guard hold(guard_);
    alarm_.reset();
    queue_ = work_list();
    draining_ = true;  // and nobody is asked to drain any more
  }

  void drain() noexcept {
    if (serial())
      drain_alone();
    else
      drain_beside_others();
  }
  void drain_alone() noexcept {
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

  /// Whatever is queued has a drainer on its way while an item runs, which an idle thread picks up: items that wait for
  /// each other meet.
  void drain_beside_others() noexcept {
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

  /// Brings the Asio timer in line with `alarm_at_`, on the context's thread.
  void set_alarm() noexcept {
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
  void rang() noexcept {
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
    alarm_at_ = wheel_.next_expiry();
    hold.unlock();
    set_alarm();
  }

  boost::asio::io_context& context_;
  const bool owned_;
  std::mutex guard_;
  std::condition_variable fired_;
  work_list queue_;
  bool draining_ = false;  // a drainer is posted and has not begun, or, where it is serial, has not ended
  detail::timer_wheel wheel_;
  timer* firing_ = nullptr;
  const void* firing_thread_ = nullptr;
  time_point alarm_at_ = never;   // when the wheel has to be looked at
  time_point alarm_set_ = never;  // what the Asio timer is set to
  std::optional<boost::asio::steady_timer>
      alarm_;  // not before it is needed: with it the context asks the kernel for events between any two handlers
};

/// The scheduler of a context that the user runs. Made at the first call; thread-safe.
inline io_scheduler& scheduler_of(boost::asio::io_context& context) {
  return boost::asio::use_service<io_scheduler>(context);
}

DTASK_END
