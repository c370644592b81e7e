// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// The work-stealing deque of Chase and Lev (SPAA 2005), in the C11 form of Le et al. (PPoPP 2013): its owner pushes
/// and pops at the bottom, thieves take the top.
///
/// Sequentially consistent operations in place of fences: clang emits `mfence` for a fence (fib 21 instead of 12 ns),
/// and ThreadSanitizer models none.
class deque {
 public:
  deque() : ring_(add_ring(256)) {}

  /// Owner only. Throws std::bad_alloc where it has to grow and cannot.
  void push(work_item* item) {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed);
    const std::int64_t top = top_.load(std::memory_order_acquire);
    ring* r = ring_.load(std::memory_order_relaxed);
    if (bottom - top > r->mask) [[unlikely]]
      r = grow(top, bottom);
    r->at(bottom).store(item, std::memory_order_relaxed);
    bottom_.store(bottom + 1, std::memory_order_release);
  }
  /// Owner only: the item pushed last, or nullptr.
  work_item* pop() noexcept {
    const std::int64_t bottom = bottom_.load(std::memory_order_relaxed) - 1;
    ring* const r = ring_.load(std::memory_order_relaxed);
    bottom_.exchange(bottom, std::memory_order_seq_cst);
    std::int64_t top = top_.load(std::memory_order_seq_cst);
    if (top < bottom) [[likely]]
      return r->at(bottom).load(std::memory_order_relaxed);
    if (top > bottom) {
      bottom_.store(bottom + 1, std::memory_order_relaxed);
      return nullptr;
    }
    work_item* item = r->at(bottom).load(std::memory_order_relaxed);
    if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
      item = nullptr;
    bottom_.store(bottom + 1, std::memory_order_relaxed);
    return item;
  }
  /// Any thread: the oldest item; nullptr where there is none or another thief was quicker.
  work_item* steal() noexcept {
    std::int64_t top = top_.load(std::memory_order_seq_cst);
    const std::int64_t bottom = bottom_.load(std::memory_order_seq_cst);
    if (top >= bottom) return nullptr;
    ring* const r = ring_.load(std::memory_order_acquire);
    work_item* const item = r->at(top).load(std::memory_order_relaxed);
    if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst, std::memory_order_relaxed))
      return nullptr;
    return item;
  }
  /// Any thread: a guess that may be out of date.
  bool looks_empty() const noexcept {
    return top_.load(std::memory_order_seq_cst) >= bottom_.load(std::memory_order_seq_cst);
  }

 private:
  struct ring {
    explicit ring(std::int64_t capacity)
        : mask(capacity - 1), slots(new std::atomic<work_item*>[static_cast<std::size_t>(capacity)]) {}
    std::atomic<work_item*>& at(std::int64_t i) noexcept { return slots[static_cast<std::size_t>(i & mask)]; }
    std::int64_t mask;
    std::unique_ptr<std::atomic<work_item*>[]> slots;
  };
  ring* add_ring(std::int64_t capacity) {
    rings_.push_back(std::make_unique<ring>(capacity));
    return rings_.back().get();
  }
  [[gnu::noinline, gnu::cold]] ring* grow(std::int64_t top, std::int64_t bottom) {
    ring* const old = ring_.load(std::memory_order_relaxed);
    // The old ring stays until the end: a thief may be reading it.
    ring* const larger = add_ring((old->mask + 1) * 2);
    for (std::int64_t i = top; i < bottom; ++i)
      larger->at(i).store(old->at(i).load(std::memory_order_relaxed), std::memory_order_relaxed);
    ring_.store(larger, std::memory_order_release);
    return larger;
  }

  alignas(64) std::atomic<std::int64_t> top_{0};
  alignas(64) std::atomic<std::int64_t> bottom_{0};
  std::vector<std::unique_ptr<ring>> rings_;
  std::atomic<ring*> ring_;
};

}  // namespace detail
DTASK_END
