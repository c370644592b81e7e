// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/parts/short_lock.hpp"
#include "dtask/task/semaphore.hpp"

DTASK_BEGIN
namespace detail {

/// The cells of a run, as many as batches may be ahead. Each goes round: unused, under way through the stages, ready,
/// with the consumer, unused again.
///
/// `fresh` is called by one task, `take` by another; for the rest it is thread-safe.
template <class Cell>
class loader_cells {
 public:
  /// `ordered`: they are taken in the order in which they set out; else as they get ready.
  loader_cells(std::size_t count, bool ordered)
      : ordered_(ordered), cells_(count), ring_(ordered ? count : 0, nullptr), free_(count) {
    unused_.reserve(count);
    done_.reserve(count);
    for (Cell& c : cells_) unused_.push_back(&c);
  }
  loader_cells(const loader_cells&) = delete;
  loader_cells& operator=(const loader_cells&) = delete;

  /// Waits until there is an unused one, which belongs to the caller.
  auto await_unused() noexcept { return free_.acquire(); }
  /// Sends it out for the step at `position`. After `await_unused`.
  Cell& fresh(std::uint64_t position, std::vector<std::uint64_t> samples) {
    Cell* c = nullptr;
    {
      const short_guard hold(lock_);
      c = unused_.back();
      unused_.pop_back();
      ++under_way_;
    }
    c->position = position;
    c->number = made_++;
    c->samples = std::move(samples);
    c->missing.store(c->samples.size());
    c->images = 0;
    return *c;
  }
  /// Whether one alone has set out and not come back: it is the oldest.
  bool one_under_way() noexcept {
    const short_guard hold(lock_);
    return under_way_ == 1;
  }
  /// It is ready.
  void deliver(Cell& c) noexcept {
    {
      const short_guard hold(lock_);
      if (ordered_)
        ring_[static_cast<std::size_t>(c.number % ring_.size())] = &c;
      else
        done_.push_back(&c);  // reserved
    }
    ready_.set();
  }
  /// No more will get ready; `take` throws `failure`.
  void fail(std::exception_ptr failure) noexcept {
    {
      const short_guard hold(lock_);
      failure_ = std::move(failure);
    }
    ready_.set();
  }
  /// Set when `take` may have something new. To be reset before `take` is asked.
  event& ready() noexcept { return ready_; }
  /// The next one that is ready; null: none yet.
  Cell* take() {
    const short_guard hold(lock_);
    if (failure_) std::rethrow_exception(failure_);
    if (ordered_) {
      Cell*& slot = ring_[static_cast<std::size_t>(taken_ % ring_.size())];
      if (slot == nullptr) return nullptr;
      ++taken_;
      return std::exchange(slot, nullptr);
    }
    if (done_.empty()) return nullptr;
    Cell* const first = done_.front();
    done_.erase(done_.begin());
    return first;
  }
  /// What `take` gave is not used any more.
  void give_back(Cell& c) noexcept {
    c.clear();
    {
      const short_guard hold(lock_);
      unused_.push_back(&c);  // reserved
      --under_way_;
    }
    free_.release();
  }

 private:
  const bool ordered_;
  std::vector<Cell> cells_;
  std::uint64_t made_ = 0;  ///< of `fresh`

  short_lock lock_;  ///< guards what follows
  std::vector<Cell*> unused_;
  std::vector<Cell*> ring_;  ///< ordered: the cell of step `number` at `number` modulo the size
  std::vector<Cell*> done_;  ///< unordered
  std::uint64_t taken_ = 0;
  std::uint64_t under_way_ = 0;
  std::exception_ptr failure_;

  semaphore free_;
  event ready_;
};

}  // namespace detail
DTASK_END
