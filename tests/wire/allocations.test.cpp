// SPDX-License-Identifier: BSL-1.0
#include "wire/allocations.hpp"

#include <doctest/doctest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>

#include "dtask/base/config.hpp"

namespace {
std::atomic<std::size_t> live{0}, peak{0};
thread_local bool fails = false;
}  // namespace

// The sanitizers bring an operator new of their own: nothing is counted there, and the limits are checked in the other
// trees.
#if !DTASK_ASAN && !DTASK_TSAN
namespace {

void* counted(void* block) {
  if (std::exchange(fails, false)) {
    std::free(block);
    throw std::bad_alloc();
  }
  if (block == nullptr) throw std::bad_alloc();
  const std::size_t now = live += malloc_usable_size(block);
  std::size_t most = peak;
  while (now > most && !peak.compare_exchange_weak(most, now)) {
  }
  return block;
}
void uncounted(void* block) noexcept {
  if (block != nullptr) live -= malloc_usable_size(block);
  std::free(block);
}
}  // namespace

void* operator new(std::size_t size) { return counted(std::malloc(size == 0 ? 1 : size)); }
void* operator new(std::size_t size, std::align_val_t align) {
  const auto a = static_cast<std::size_t>(align);
  return counted(std::aligned_alloc(a, (size + a - 1) / a * a));
}
void operator delete(void* block) noexcept { uncounted(block); }
void operator delete(void* block, std::size_t) noexcept { uncounted(block); }
void operator delete(void* block, std::align_val_t) noexcept { uncounted(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { uncounted(block); }
#endif

namespace test {
std::size_t live_bytes() { return live; }
std::size_t peak_bytes() { return peak; }
void reset_peak() { peak = live.load(); }
void fail_next() { fails = true; }
}  // namespace test

#if !DTASK_ASAN && !DTASK_TSAN
TEST_CASE("allocations are counted") {
  test::reset_peak();
  const std::size_t before = test::live_bytes();
  // A call of the function: an optimiser may leave out a new that nobody uses.
  ::operator delete(::operator new(1000));
  CHECK(test::peak_bytes() >= before + 1000);
  CHECK(test::live_bytes() == before);
}
#endif
