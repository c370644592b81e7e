// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/fork_lane.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// One child of a fork_group.
struct fork_child {
  promise_base* promise = nullptr;
  std::coroutine_handle<> handle;
};

struct spine_hook : completion {};
struct elsewhere_hook : completion {};

/// Children that start together and end together, under a stop source of their own. Lives in the awaiter of when_all
/// and when_any.
///
/// The first child runs at once. On a work-stealing pool the others lie in the thread's deque meanwhile; when a child
/// that ran in line has ended, the next one is popped and, unless it was stolen, runs in line too, without a single
/// atomic operation on the group: this line of children is the spine. Children that ran elsewhere count up, the spine
/// at its end counts down by their number, and whoever brings the count to zero resumes the parent.
class fork_group : spine_hook, elsewhere_hook {
 public:
  enum class policy : unsigned char { all, any };

  fork_group(policy p, fork_child* children, std::size_t size) noexcept
      : children_(children), size_(static_cast<std::uint32_t>(size)), policy_(p) {
    spine_hook::done = [](completion& c, promise_base& child) noexcept {
      return static_cast<fork_group&>(static_cast<spine_hook&>(c)).spine_ended(child);
    };
    elsewhere_hook::done = [](completion& c, promise_base& child) noexcept {
      return static_cast<fork_group&>(static_cast<elsewhere_hook&>(c)).elsewhere_ended(child);
    };
  }
  static_assert(std::is_trivially_destructible_v<environment>);
  fork_group(const fork_group&) = delete;
  fork_group& operator=(const fork_group&) = delete;

  /// Starts the children; the coroutine to go on with.
  template <class Promise>
  [[gnu::always_inline]] std::coroutine_handle<> start(std::coroutine_handle<Promise> parent,
                                                       std::size_t size) noexcept {
#if DTASK_DEBUG
    for (std::uint32_t i = 0; i < size_; ++i) note_parent(*children_[i].promise, parent.promise());
#endif
    return begin(parent, *parent.promise().env, static_cast<std::uint32_t>(size));
  }

  /// To be called in `await_resume`: throws where the group was not started because of stop.
  void check_started() const {
    if (decisive() == not_started) [[unlikely]]
      throw_stopped(env_);
  }
  /// The child that decided: the first to fail (all) or the first to end (any); -1: none.
  std::ptrdiff_t decisive() const noexcept { return decisive_.load(std::memory_order_relaxed); }

 private:
  /// In line, where `size` is mostly a constant.
  [[gnu::always_inline]] std::coroutine_handle<> begin(std::coroutine_handle<> parent, const environment& outer,
                                                       std::uint32_t size) noexcept {
    if (outer.stop->stop_requested()) [[unlikely]] {
      std::construct_at(&env_, outer);
      decisive_.store(not_started, std::memory_order_relaxed);
      return parent;
    }
    if (size == 0) return parent;
    parent_ = parent;
    std::construct_at(&env_, environment{outer.where, &stop_, outer.deadline, outer.trace_id});
    stop_.set_parent(*outer.stop);
    for (std::uint32_t i = 0; i < size; ++i) {
      children_[i].promise->env = &env_;
      children_[i].promise->on_done = static_cast<elsewhere_hook*>(this);
    }
    if (size > 1) {
      if (fork_lane* const lane = lane_of(env_.where)) {
        std::uint32_t i = size;
        try {
          for (; i > 1; --i) lane->push(*children_[i - 1].promise);
        } catch (...) {
          // No memory for a larger deque: the rest goes the slow way. They count as elsewhere like those that were
          // stolen.
          for (; i > 1; --i) env_.where->post(*children_[i - 1].promise);
        }
      } else {
        next_ = size;
        elsewhere_count_ = size - 1;
        work_list others;
        for (std::uint32_t i = 1; i < size; ++i) others.push(*children_[i].promise);
        env_.where->post_all(others);
      }
    }
    children_[0].promise->on_done = static_cast<spine_hook*>(this);
    return children_[0].handle;
  }

  void note(promise_base& child) noexcept {
    if (policy_ == policy::all && !child.failed) [[likely]]
      return;
    // Looking for its place costs a step for each child before it: only the decisive one has to.
    if (decisive_.load(std::memory_order_relaxed) != nobody) return;
    std::int32_t index = 0;
    while (children_[index].promise != &child) ++index;
    std::int32_t none = nobody;
    if (decisive_.compare_exchange_strong(none, index, std::memory_order_relaxed)) stop_.request_stop();
  }
  std::coroutine_handle<> spine_ended(promise_base& child) noexcept {
    note(child);
    while (next_ < size_) {
      fork_lane* const lane = lane_of(env_.where);
      work_item* const item = lane ? lane->pop() : nullptr;
      fork_child& next = children_[next_];
      if (item != next.promise) [[unlikely]] {
        if (item) lane->push(*item);
        elsewhere_count_ += size_ - next_;
        break;
      }
      ++next_;
      if (!stop_.stop_requested()) [[likely]] {
        next.promise->on_done = static_cast<spine_hook*>(this);
        return next.handle;
      }
      // Started the ordinary way it ends at once, with the cause.
      ++elsewhere_count_;
      item->run(*item);
    }
    if (elsewhere_count_ == 0) [[likely]]
      return parent_;
    const auto others = static_cast<std::int32_t>(elsewhere_count_);
    return count_.fetch_sub(others, std::memory_order_acq_rel) == others ? parent_ : std::coroutine_handle<>{};
  }
  std::coroutine_handle<> elsewhere_ended(promise_base& child) noexcept {
    note(child);
    const std::coroutine_handle<> parent = parent_;
    return count_.fetch_add(1, std::memory_order_acq_rel) == -1 ? parent : std::coroutine_handle<>{};
  }

  static constexpr std::int32_t nobody = -1, not_started = -2;

  fork_child* children_;
  std::uint32_t size_;
  std::uint32_t next_ = 1;             // the first child that the spine has not claimed
  std::uint32_t elsewhere_count_ = 0;  // known when the spine has ended
  std::atomic<std::int32_t> count_{0};
  std::atomic<std::int32_t> decisive_{nobody};
  policy policy_;
  std::coroutine_handle<> parent_;
  union {
    environment env_;  // made by start()
  };
  stop_source stop_;
};

}  // namespace detail
DTASK_END
