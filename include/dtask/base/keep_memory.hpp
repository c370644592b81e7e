// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {
inline std::atomic<bool> memory_is_kept{false};
}

/// Tells glibc to keep the memory of freed tensors for the next ones. By default it gives large blocks back to the
/// kernel and faults every page in again, which costs 10 to 70 % of the time of inference and training on a CPU
/// (measured; docs/benchmarks.md).
///
/// Call it first in the program's main: it is for the whole process, and blocks that were handed out before are not
/// concerned. The process then keeps its peak of memory: what payloads leave behind is not given back either. No effect
/// on the allocator with another C library. Not thread-safe.
inline void keep_memory() noexcept {
  detail::memory_is_kept.store(true, std::memory_order_relaxed);
#if defined(__GLIBC__)
  // Above 32 MiB some versions refuse: then blocks above that are still mapped one by one.
  if (mallopt(M_MMAP_THRESHOLD, 1 << 30) == 0) mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

DTASK_END
