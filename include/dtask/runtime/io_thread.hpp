// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <thread>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/runtime/detail/adaptive_wait.hpp"
#include "dtask/runtime/io_scheduler.hpp"
#include "dtask/task/thread_state.hpp"

DTASK_BEGIN

/// One thread that runs one `io_context`: the home of sockets. Its scheduler is serial, so what runs there needs no
/// locks.
///
/// User code does not belong here: it would hold up everybody's sockets. The destructor stops the context and joins:
/// tasks on it shall have ended before.
class io_thread {
 public:
  io_thread()
      : scheduler_(&boost::asio::make_service<io_scheduler>(context_, true, true)), thread_([this] { run(); }) {}
  io_thread(const io_thread&) = delete;
  io_thread& operator=(const io_thread&) = delete;
  ~io_thread() {
    ending_.store(true, std::memory_order_release);
    context_.stop();
    thread_.join();
  }

  boost::asio::io_context& context() noexcept { return context_; }
  boost::asio::io_context::executor_type get_executor() noexcept { return context_.get_executor(); }
  io_scheduler& scheduler() noexcept { return *scheduler_; }

  /// How long the thread may look for new events before it sleeps; zero (the default): not at all. Waking a sleeping
  /// core costs some 70 us, so looking for about two round trips shortens a call's way a lot, at the price of a core.
  /// The thread does it only where events follow each other that closely, as with calls in flight, and where nobody
  /// else wants its core. At most 50 us is sensible. Thread-safe.
  void set_polling(duration longest) noexcept {
    polling_ns_.store(longest.count(), std::memory_order_relaxed);
    context_.stop();  // the loop looks at the new value and goes on
  }

 private:
  void run() {
    detail::this_thread().current = scheduler_;
    const auto guard = boost::asio::make_work_guard(context_);
    while (!ending_.load(std::memory_order_acquire)) {
      const duration longest(polling_ns_.load(std::memory_order_relaxed));
      if (longest == duration::zero())
        context_.run();
      else
        run_polling(longest);
      if (context_.stopped() && !ending_.load(std::memory_order_acquire)) context_.restart();
    }
    detail::this_thread().current = nullptr;
  }
  void run_polling(duration longest) {
    detail::adaptive_wait wait(longest);
    while (!context_.stopped()) {
      while (context_.poll() != 0) {
      }
      const time_point idle_since = clock_type::now();
      const duration window = wait.window(idle_since);
      bool ran = false;
      for (time_point now = idle_since; !ran && now - idle_since < window;) {
        std::this_thread::yield();  // whoever wants this core gets it, and the gap shows it
        ran = context_.poll() != 0;
        const time_point after = clock_type::now();
        if (!ran) wait.looked(after - now, after);
        now = after;
      }
      if (!ran) context_.run_one();
      wait.waited(clock_type::now() - idle_since);
    }
  }

  boost::asio::io_context context_{1};
  io_scheduler* scheduler_;
  std::atomic<duration::rep> polling_ns_{0};
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

DTASK_END
