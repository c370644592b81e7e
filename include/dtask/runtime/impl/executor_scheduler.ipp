// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN

DTASK_INLINE void executor_scheduler::runner::operator()() const noexcept {
  const detail::scheduler_entry entry(*self);
  // The last item may end the scheduler: `self` is not used after this.
  item->run(*item);
}

DTASK_INLINE bool executor_scheduler::runs_here() const noexcept {
  if (detail::this_thread().current == this) return true;
  if (const auto* const pool = executor_.target<work_pool::executor_type>()) return pool->running_in_this_thread();
  if (const auto* const io = executor_.target<boost::asio::io_context::executor_type>())
    return io->running_in_this_thread();
  return false;
}

DTASK_END
