// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// Counts the bytes ahead of a consumer, and what a sample may take before it is known: the largest of each part that
/// was seen. Kept from run to run. Thread-safe.
class byte_budget {
 public:
  explicit byte_budget(std::uint64_t most) noexcept : most_(most) {}

  /// What to count for a sample that has not been read.
  std::uint64_t estimate() const noexcept { return sample_.load(std::memory_order_relaxed) + share(); }
  /// A sample's part in the largest batch.
  std::uint64_t share() const noexcept { return share_.load(std::memory_order_relaxed); }
  /// Whether a whole batch has been seen.
  bool known() const noexcept { return known_.load(std::memory_order_relaxed); }
  void saw_sample(std::uint64_t size) noexcept { raise(sample_, size); }
  void saw_batch(std::uint64_t size, std::uint64_t samples) noexcept {
    raise(share_, (size + samples - 1) / samples);
    known_.store(true, std::memory_order_relaxed);
  }

  bool fits(std::uint64_t more) const noexcept {
    const std::uint64_t used = used_.load(std::memory_order_relaxed);
    return used <= most_ && more <= most_ - used;
  }
  void add(std::uint64_t size) noexcept { raise(peak_, used_.fetch_add(size, std::memory_order_relaxed) + size); }
  void subtract(std::uint64_t size) noexcept { used_.fetch_sub(size, std::memory_order_relaxed); }
  std::uint64_t used() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::uint64_t peak() const noexcept { return peak_.load(std::memory_order_relaxed); }
  void reset_peak() noexcept { peak_.store(used(), std::memory_order_relaxed); }

 private:
  static void raise(std::atomic<std::uint64_t>& to, std::uint64_t value) noexcept {
    std::uint64_t seen = to.load(std::memory_order_relaxed);
    while (seen < value && !to.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }
  const std::uint64_t most_;
  std::atomic<std::uint64_t> used_{0}, peak_{0}, sample_{0}, share_{0};
  std::atomic<bool> known_{false};
};

}  // namespace detail
DTASK_END
