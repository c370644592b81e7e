// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/channel.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace cuda {

/// A fixed number of things of which each is lent to one task at a time: streams, say. Who asks while all are lent
/// waits, first come first served.
///
/// `T` moves without throwing. Thread-safe. A lease may outlive the pool.
template <class T>
class lease_pool {
  using free_list = channel<T>;

 public:
  /// Gives its thing back when it dies. Move-only; one thread at a time.
  class lease {
   public:
    /// Takes over what `other` has.
    lease(lease&& other) noexcept : free_(std::move(other.free_)), value_(std::move(other.value_)) {}
    /// The same; gives back its own first.
    lease& operator=(lease&& other) noexcept {
      if (this != &other) {
        give_back();
        free_ = std::move(other.free_);
        value_.emplace(std::move(*other.value_));
      }
      return *this;
    }
    ~lease() { give_back(); }
    T& operator*() noexcept { return *value_; }                ///< what is lent; not after this was moved from
    const T& operator*() const noexcept { return *value_; }    ///< the same
    T* operator->() noexcept { return &*value_; }              ///< the same
    const T* operator->() const noexcept { return &*value_; }  ///< the same

   private:
    friend lease_pool;
    lease(std::shared_ptr<free_list> free, T value) noexcept : free_(std::move(free)), value_(std::move(value)) {}
    void give_back() noexcept {
      if (!free_) return;
      free_->try_push(std::move(*value_));  // there is room for all of them
      free_.reset();
    }
    std::shared_ptr<free_list> free_;
    std::optional<T> value_;
  };

  /// Throws `error(invalid_argument)` where there is nothing to lend.
  explicit lease_pool(std::vector<T> all) : size_(all.size()) {
    if (all.empty())
      throw error(errc::invalid_argument, "a pool of nothing", "cuda::lease_pool", "give it at least one");
    free_ = std::make_shared<free_list>(all.size());
    for (T& t : all) free_->try_push(std::move(t));
  }

  /// How many there are, lent or not.
  std::size_t size() const noexcept { return size_; }
  /// How many are not lent.
  std::size_t free() const noexcept { return free_->size(); }
  /// Waits until one is free. Throws `error(cancelled)` or `error(deadline_exceeded)` under stop.
  task<lease> acquire() { return acquire_from(free_); }

 private:
  static task<lease> acquire_from(std::shared_ptr<free_list> from) {
    std::optional<T> value = co_await from->pop();
    co_return lease(from, *std::move(value));
  }
  std::size_t size_;
  std::shared_ptr<free_list> free_;
};

}  // namespace cuda
DTASK_END
