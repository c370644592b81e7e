// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/deque.hpp"
#include "dtask/task/parts/thread_state.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// Where a thread of a work-stealing pool forks to. The pool hands it out through `thread_state::lane`.
struct fork_lane {
  explicit fork_lane(scheduler& pool) noexcept : where(&pool) {}
  deque items;
  scheduler* where;
  std::atomic<unsigned> const* idle = nullptr;  ///< threads of the pool that sleep or are about to
  void (*wake)(fork_lane&) noexcept = nullptr;

  void push(work_item& item) {
    items.push(&item);
    // No fence between the two: before it sleeps, a thread makes all others pass a barrier (membarrier) and looks
    // again. The barrier orders what the processor does; the compiler must keep the order by itself.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (idle->load(std::memory_order_relaxed) != 0) [[unlikely]]
      wake(*this);
  }
  work_item* pop() noexcept { return items.pop(); }
};

/// The lane of the calling thread where it is one of `where`'s, else nullptr.
inline fork_lane* lane_of(const scheduler* where) noexcept {
  fork_lane* const lane = this_thread().lane;
  return lane && lane->where == where ? lane : nullptr;
}

}  // namespace detail
DTASK_END
