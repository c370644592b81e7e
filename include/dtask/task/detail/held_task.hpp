// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>

#include "dtask/base/config.hpp"
#include "dtask/task/parts/thread_state.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// A task that a coroutine holds as a parameter, so that the coroutine's end can take it out of there.
struct held_task {
  void* at = nullptr;
  /// Takes the coroutine out of the task at `at`, as a work item that destroys it; null where the task is empty.
  work_item* (*release)(void* at) noexcept = nullptr;
};

/// Destroys what a coroutine that is being destroyed holds. A chain of tasks that hold each other is as long as memory
/// lasts, the stack is not: from a depth on, what comes next is left to a loop further up. Above it everything goes as
/// the language does it, from the inside out.
[[gnu::noinline]] inline void drop_held(const held_task* held, std::size_t count) noexcept {
  constexpr unsigned deepest = 64;
  thread_state& thread = this_thread();
  if (thread.dropping == deepest) {
    for (; count > 0; --count) {
      const held_task& last = held[count - 1];
      work_item* const item = last.at ? last.release(last.at) : nullptr;
      if (!item) continue;
      item->next = thread.dropped;
      thread.dropped = item;
    }
    return;
  }
  ++thread.dropping;
  for (; count > 0; --count) {
    const held_task& last = held[count - 1];
    work_item* const item = last.at ? last.release(last.at) : nullptr;
    if (item) item->run(*item);
  }
  while (thread.dropping == deepest && thread.dropped) {
    work_item* const item = thread.dropped;
    thread.dropped = item->next;
    item->run(*item);
  }
  --thread.dropping;
}

}  // namespace detail
DTASK_END
