// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"

DTASK_BEGIN
class scheduler;
namespace detail {
struct fork_lane;
class frame_pool;

/// Everything that task/ and runtime/ keep per thread.
struct thread_state {
  void* next = nullptr;              ///< loop mode: the coroutine to resume when the running one has returned
  scheduler* current = nullptr;      ///< the scheduler whose thread this is
  fork_lane* lane = nullptr;         ///< where this thread forks to, on a work-stealing pool
  frame_pool* frames = nullptr;      ///< recycled coroutine frames
  const void* initiating = nullptr;  ///< the Asio operation that is being started, whose handler may be called inside
  bool runs_jobs = false;            ///< for good: a worker's jobs run on this thread
};
inline thread_local constinit thread_state tls_state{};

/// The calling thread's state. Not inlined by clang, which keeps the address of a thread-local across a suspension,
/// after which the coroutine may be on another thread. g++ splits coroutines before it optimises: there each part
/// computes the address anew.
#if defined(__clang__)
[[gnu::noinline]]
#endif
inline thread_state& this_thread() noexcept {
#if defined(__clang__)
  thread_state* at = &tls_state;
  asm volatile("" : "+r"(at));
  return *at;
#else
  return tls_state;
#endif
}

}  // namespace detail
DTASK_END
