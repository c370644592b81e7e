// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/parts/timer_wheel.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// A thread that does nothing but call expired timers: for schedulers whose threads may all be busy with user code.
/// Started with its owner, which can say that there is no thread for it: arming a timer cannot.
class timer_thread {
 public:
  /// Throws std::system_error where the thread cannot be started.
  timer_thread() : wheel_(clock_type::now()), thread_([this] { run(); }) {}
  timer_thread(const timer_thread&) = delete;
  timer_thread& operator=(const timer_thread&) = delete;
  ~timer_thread();

  void arm(timer& t, time_point at) noexcept;
  bool cancel(timer& t) noexcept;

  /// The one of the process, for schedulers without threads of their own. The first call throws as the constructor
  /// does.
  static timer_thread& shared() {
    static timer_thread instance;
    return instance;
  }

 private:
  void run() noexcept;
  std::mutex guard_;
  std::condition_variable wake_, fired_;
  timer_wheel<timer_links> wheel_;
  timer* firing_ = nullptr;
  time_point sleeps_until_ = time_point::min();
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/runtime/impl/timer_thread.ipp"
#endif
