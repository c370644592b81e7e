// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/runtime/detail/adaptive_wait.hpp"

DTASK_BEGIN

DTASK_INLINE io_thread::~io_thread() {
  ending_.store(true, std::memory_order_release);
  context_.stop();
  thread_.join();
}
DTASK_INLINE void io_thread::set_polling(duration longest) noexcept {
  polling_ns_.store(longest.count(), std::memory_order_relaxed);
  context_.stop();  // the loop looks at the new value and goes on
}
DTASK_INLINE void io_thread::run() {
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
DTASK_INLINE void io_thread::run_polling(duration longest) {
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

DTASK_END
