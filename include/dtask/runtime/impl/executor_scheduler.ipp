// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN

DTASK_INLINE void executor_scheduler::runner::operator()() const noexcept {
  scheduler*& current = detail::this_thread().current;
  scheduler* const outer = std::exchange(current, self);
  // The last item may end the scheduler: `self` is not used after this.
  item->run(*item);
  current = outer;
}

DTASK_END
