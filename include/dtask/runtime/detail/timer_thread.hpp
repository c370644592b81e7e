// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/scheduler.hpp"
#include "dtask/task/timer_wheel.hpp"

DTASK_BEGIN
namespace detail {

/// A thread that does nothing but call expired timers: for schedulers whose threads may all be busy with user code.
/// Started by the first timer.
class timer_thread {
 public:
  timer_thread() : wheel_(clock_type::now()) {}
  timer_thread(const timer_thread&) = delete;
  timer_thread& operator=(const timer_thread&) = delete;
  ~timer_thread() {
    {
      const std::lock_guard hold(guard_);
      ending_ = true;
      wake_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
  }

  void arm(timer& t, time_point at) noexcept {
    const std::lock_guard hold(guard_);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    wheel_.arm(t, at);
    if (at < sleeps_until_) wake_.notify_one();
  }
  bool cancel(timer& t) noexcept {
    std::unique_lock hold(guard_);
    if (wheel_.cancel(t)) return true;
    if (std::this_thread::get_id() != thread_.get_id()) fired_.wait(hold, [&] { return firing_ != &t; });
    return false;
  }

  /// The one of the process, for schedulers without threads of their own.
  static timer_thread& shared() {
    static timer_thread instance;
    return instance;
  }

 private:
  void run() noexcept {
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
      sleeps_until_ = wheel_.next_expiry();
      if (sleeps_until_ == never)
        wake_.wait(hold);
      else
        wake_.wait_until(hold, sleeps_until_);
      sleeps_until_ = time_point::min();
    }
  }
  std::mutex guard_;
  std::condition_variable wake_, fired_;
  timer_wheel wheel_;
  timer* firing_ = nullptr;
  time_point sleeps_until_ = time_point::min();
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace detail
DTASK_END
