// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <cstddef>
#include <exception>

#include "dtask/base/error.hpp"
#include "dtask/task/detail/frame_pool.hpp"
#include "dtask/task/detail/live_task.hpp"
#include "dtask/task/detail/transfer.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {
class promise_base;

/// What happens when a coroutine that nobody awaits directly has ended. Returns the coroutine to go on with, or null.
struct completion {
  std::coroutine_handle<> (*done)(completion&, promise_base&) noexcept = nullptr;
};

/// The part of a task's promise that does not know its type. `task_promise::start` makes it a work item that starts the
/// task.
class promise_base : public work_item {
 public:
  promise_base() noexcept {}
  promise_base(const promise_base&) = delete;
  promise_base& operator=(const promise_base&) = delete;

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> h) const noexcept {
      promise_base& self = h.promise();
#if DTASK_DEBUG
      self.live.ended();
#endif
      if (!self.on_done) [[likely]]
        return transfer_to(self.continuation);
      const std::coroutine_handle<> next = self.on_done->done(*self.on_done, self);
      if (next) return transfer_to(next);
      return stay();
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return {}; }

#if DTASK_DEBUG
  template <class A>
  A&& await_transform(A&& awaitable, const std::source_location at = std::source_location::current()) noexcept {
    live.awaits_at(at);
    return static_cast<A&&>(awaitable);
  }
  live_task live;
#endif
  const environment* env;  ///< set before the task starts, like `continuation` and `on_done`
  union {
    std::coroutine_handle<> continuation;  ///< who awaits, where `on_done` is null
  };
  completion* on_done = nullptr;
  bool failed = false;  ///< ended with an exception
};

/// The exception that ends a task whose environment was stopped.
[[gnu::noinline, gnu::cold]] inline std::exception_ptr stopped_exception(const environment& env) noexcept {
  try {
    return std::make_exception_ptr(
        error(env.stop->cause(), env.stop->cause() == errc::deadline_exceeded ? "deadline exceeded" : "cancelled"));
  } catch (...) {
    return std::current_exception();
  }
}
[[noreturn, gnu::noinline, gnu::cold]] inline void throw_stopped(const environment& env) {
  std::rethrow_exception(stopped_exception(env));
}

}  // namespace detail
DTASK_END
