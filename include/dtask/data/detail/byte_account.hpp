// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/data/detail/byte_budget.hpp"
#include "dtask/task/event.hpp"

DTASK_BEGIN
namespace detail {

/// What one run counts in its loader's budget, batch by batch: a guess while a sample is not there yet, its size from
/// then on. At its end it takes back what is still counted. Thread-safe; the budget outlives it.
///
/// `of`: the bytes that are counted for one batch, which stand with the batch.
class byte_account {
 public:
  using part = std::atomic<std::uint64_t>;

  explicit byte_account(byte_budget& budget) noexcept : budget_(budget) {}
  ~byte_account() { budget_.subtract(counted_.load(std::memory_order_relaxed)); }
  byte_account(const byte_account&) = delete;
  byte_account& operator=(const byte_account&) = delete;

  /// Counts `samples` more of a batch, and says how many bytes they are taken for; 0: there is no room yet.
  /// `expected`: what they will take; 0: nobody knows. `oldest`: no other batch is under way, so this one must not
  /// wait.
  std::uint64_t let_in(part& of, std::uint64_t samples, std::uint64_t expected, bool oldest) noexcept {
    // Before any size is known, one batch.
    if (expected == 0 && !budget_.known() && !oldest) return 0;
    const std::uint64_t size = std::max<std::uint64_t>(expected != 0 ? expected : budget_.estimate() * samples, 1);
    if (!oldest && !budget_.fits(size)) return 0;
    add(of, size);
    return size;
  }
  /// What was taken for `from` bytes of a batch takes `to`.
  void change(part& of, std::uint64_t from, std::uint64_t to) noexcept {
    if (to > from) {
      add(of, to - from);
    } else if (from > to) {
      of.fetch_sub(from - to);
      subtract(from - to);
    }
    changed_.set();
  }
  /// A batch has gone. Whoever waits for room is to be told afterwards (`tell`), when it is not under way any more.
  void drop(part& of) noexcept { subtract(of.exchange(0)); }
  void tell() noexcept { changed_.set(); }
  /// Set when there may be room where there was none. To be reset before `let_in` is asked.
  event& changed() noexcept { return changed_; }

 private:
  void add(part& of, std::uint64_t size) noexcept {
    budget_.add(size);
    of.fetch_add(size);
    counted_.fetch_add(size, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t size) noexcept {
    budget_.subtract(size);
    counted_.fetch_sub(size, std::memory_order_relaxed);
  }

  byte_budget& budget_;
  part counted_{0};
  event changed_;
};

}  // namespace detail
DTASK_END
