// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"

DTASK_BEGIN
class scheduler;
struct work_item;
namespace detail {
struct fork_lane;
class frame_pool;
class scheduler_entry;

/// Everything that task/ and runtime/ keep per thread.
struct thread_state {
  void* next = nullptr;                      ///< loop mode: the coroutine to resume when the running one has returned
  scheduler* current = nullptr;              ///< the scheduler whose thread this is
  const scheduler_entry* entered = nullptr;  ///< where it became that, above another one
  fork_lane* lane = nullptr;                 ///< where this thread forks to, on a work-stealing pool
  frame_pool* frames = nullptr;              ///< recycled coroutine frames
  const void* initiating = nullptr;  ///< the Asio operation that is being started, whose handler may be called inside
  bool runs_jobs = false;            ///< for good: a worker's jobs run on this thread
  work_item* dropped = nullptr;      ///< tasks that are to be destroyed by a loop further up the stack
  unsigned dropping = 0;             ///< how many tasks are being destroyed, one inside the other
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

/// While it lives, `where` is the calling thread's scheduler, above the one whose item runs further down the stack.
class scheduler_entry {
 public:
  explicit scheduler_entry(scheduler& where) noexcept
      : thread_(this_thread()), outer_(thread_.current), below_(thread_.entered) {
    thread_.current = &where;
    thread_.entered = this;
  }
  ~scheduler_entry() {
    thread_.current = outer_;
    thread_.entered = below_;
  }
  scheduler_entry(const scheduler_entry&) = delete;
  scheduler_entry& operator=(const scheduler_entry&) = delete;

  /// Whether an item of `where` lies on the calling thread's stack, under the current scheduler's.
  static bool covers(const scheduler& where) noexcept {
    for (const scheduler_entry* e = this_thread().entered; e; e = e->below_) {
      if (e->outer_ == &where) return true;
    }
    return false;
  }

 private:
  thread_state& thread_;
  scheduler* outer_;
  const scheduler_entry* below_;
};

}  // namespace detail
DTASK_END
