// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>

#include "dtask/base/config.hpp"
#include "dtask/task/parts/thread_state.hpp"

DTASK_BEGIN
namespace detail {

/// How one coroutine hands over to the next. `await_suspend` returns `transfer`, made by `transfer_to(next)` or
/// `stay()`; whoever starts or resumes a coroutine from outside calls `resume(h)`, which in loop mode goes on until
/// nobody is next.
#if DTASK_SYMMETRIC_TRANSFER
using transfer = std::coroutine_handle<>;
inline transfer transfer_to(std::coroutine_handle<> next) noexcept { return next; }
inline transfer stay() noexcept { return std::noop_coroutine(); }
inline void resume(std::coroutine_handle<> h) { h.resume(); }
#else
using transfer = void;
inline transfer transfer_to(std::coroutine_handle<> next) noexcept { this_thread().next = next.address(); }
inline transfer stay() noexcept {}
inline void resume(std::coroutine_handle<> h) {
  thread_state& thread = this_thread();
  for (;;) {
    h.resume();
    void* const next = thread.next;
    if (!next) return;
    thread.next = nullptr;
    h = std::coroutine_handle<>::from_address(next);
  }
}
#endif

}  // namespace detail
DTASK_END
