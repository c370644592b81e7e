// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cerrno>
#include <charconv>
#include <string_view>

#if defined(__linux__)
#include <fcntl.h>
#include <unistd.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "dtask/base/block_pool.hpp"
#include "dtask/base/keep_memory.hpp"
#include "dtask/net/link.hpp"

DTASK_BEGIN
namespace detail {

/// Bytes that the system counts for this process; 0 where it does not say.
DTASK_INLINE std::uint64_t resident_bytes() noexcept {
#if defined(__linux__)
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[128];
  ssize_t size = 0;
  do size = ::read(file, text, sizeof text);
  while (size < 0 && errno == EINTR);
  ::close(file);
  // The second of its numbers, in pages.
  const std::string_view all(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  const std::size_t at = all.find(' ');
  std::uint64_t pages = 0;
  if (at != std::string_view::npos) std::from_chars(all.data() + at + 1, all.data() + all.size(), pages);
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
#else
  return 0;
#endif
}
DTASK_INLINE void trim_heaps() noexcept {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
}

/// What the links have moved and what those who used blocks have let go.
DTASK_INLINE std::uint64_t payload_traffic() {
  return net::moved_bytes.load(std::memory_order_relaxed) + block_pool::shared().returned_bytes();
}

DTASK_INLINE memory_use process_memory::measure() const {
  memory_use out;
  const block_pool& pool = block_pool::shared();
  out.blocks = pool.lent_bytes();
  out.idle = pool.idle_bytes();
  out.resident = resident_bytes();
  return out;
}
DTASK_INLINE void process_memory::node_began() noexcept {
  const std::lock_guard hold(guard_);
  ++nodes_;
}
DTASK_INLINE void process_memory::node_ended() noexcept {
  {
    const std::lock_guard hold(guard_);
    if (--nodes_ != 0) return;
  }
  if (memory_is_kept.load(std::memory_order_relaxed)) return;
  block_pool& pool = block_pool::shared();
  const bool some = pool.idle_bytes() != 0;
  pool.release_idle();
  if (some && payload_traffic() >= control::trim_schedule::worth) trim_heaps();
}
DTASK_INLINE void process_memory::tick(time_point now) noexcept {
  if (memory_is_kept.load(std::memory_order_relaxed)) return;
  const std::uint64_t before = resident_bytes();
  control::trim_schedule::due due;
  {
    const std::lock_guard hold(guard_);
    due = schedule_.at(now, payload_traffic(), before);
  }
  if (due.blocks) block_pool::shared().age();
  if (!due.heaps) return;
  trim_heaps();
  const std::uint64_t after = resident_bytes();
  const std::lock_guard hold(guard_);
  schedule_.trimmed(before, after);
}

}  // namespace detail
DTASK_END
