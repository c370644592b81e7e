// SPDX-License-Identifier: BSL-1.0
#include "fuzz/memory.hpp"

#include "dtask/base/config.hpp"

#if DTASK_ASAN || DTASK_TSAN
#include <sanitizer/allocator_interface.h>

#include <atomic>

namespace {
std::atomic<std::size_t> live{0}, peak{0};

void allocated(const volatile void*, std::size_t size) {
  const std::size_t now = live += size;
  std::size_t most = peak;
  while (now > most && !peak.compare_exchange_weak(most, now)) {
  }
}
void freed(const volatile void* block) { live -= __sanitizer_get_allocated_size(const_cast<const void*>(block)); }
}  // namespace

std::size_t fuzz::peak_of(const std::function<void()>& work) {
  [[maybe_unused]] static const int counted = __sanitizer_install_malloc_and_free_hooks(&allocated, &freed);
  const std::size_t before = live;
  peak = before;
  work();
  const std::size_t most = peak;
  // Blocks that are older than the count may have gone meanwhile.
  return most > before ? most - before : 0;
}
#else
#include "wire/allocations.hpp"

std::size_t fuzz::peak_of(const std::function<void()>& work) {
  const std::size_t before = test::live_bytes();
  test::reset_peak();
  work();
  return test::peak_bytes() - before;
}
#endif
