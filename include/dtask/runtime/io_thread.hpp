// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <thread>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/runtime/io_scheduler.hpp"
#include "dtask/task/parts/thread_state.hpp"

DTASK_BEGIN

/// One thread that runs one `io_context`: the home of sockets. Its scheduler is serial, so what runs there needs no
/// locks.
///
/// User code does not belong here: it would hold up everybody's sockets. The destructor stops the context and joins:
/// tasks on it shall have ended before.
class io_thread {
 public:
  /// Starts the thread. Throws std::system_error where it cannot be started.
  io_thread()
      : scheduler_(&boost::asio::make_service<io_scheduler>(context_, true, true)), thread_([this] { run(); }) {}
  io_thread(const io_thread&) = delete;
  io_thread& operator=(const io_thread&) = delete;
  ~io_thread();

  /// What the thread runs, and no other thread may; valid while this lives.
  boost::asio::io_context& context() noexcept { return context_; }
  /// What sockets and timers of the thread are made with.
  boost::asio::io_context::executor_type get_executor() noexcept { return context_.get_executor(); }
  /// Where tasks run on the thread; valid while this lives.
  io_scheduler& scheduler() noexcept { return *scheduler_; }

  /// How long the thread may look for new events before it sleeps; zero (the default): not at all. Waking a sleeping
  /// core costs some 70 us, so looking for about two round trips shortens a call's way a lot, at the price of a core.
  /// The thread does it only where events follow each other that closely, as with calls in flight, and where nobody
  /// else wants its core. At most 50 us is sensible. Thread-safe.
  void set_polling(duration longest) noexcept;

 private:
  void run();
  void run_polling(duration longest);

  boost::asio::io_context context_{1};
  io_scheduler* scheduler_;
  std::atomic<duration::rep> polling_ns_{0};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/runtime/impl/io_thread.ipp"
#endif
