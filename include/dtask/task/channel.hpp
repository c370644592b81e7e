// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/parts/wait.hpp"

DTASK_BEGIN

/// A bounded queue between tasks: many may push and many may pop, values keep their order, waiting is first come first
/// served.
///
/// `T` moves without throwing. Thread safety: all members from any thread. It outlives its waiters.
template <class T>
class channel {
  static_assert(std::is_nothrow_move_constructible_v<T>, "dtask: a channel's values move without throwing");

 public:
  /// `capacity`: how many values may lie in it before `push` waits; at least 1.
  explicit channel(std::size_t capacity) : capacity_(capacity ? capacity : 1), ring_(new std::optional<T>[capacity_]) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  /// No more values: what lies in it can still be popped, then `pop` yields nothing; waiting and later pushes throw
  /// `error(closed)`.
  void close() noexcept {
    detail::woken waiters;
    const detail::short_guard hold(lock_);
    closed_ = true;
    while (detail::waiter* const w = receivers_.pop()) waiters.add(*w);
    while (detail::waiter* const w = senders_.pop()) waiters.add(*w);
  }
  /// Whether `close` has been called.
  bool closed() const noexcept {
    const detail::short_guard hold(lock_);
    return closed_;
  }
  /// Values that lie in it at this moment.
  std::size_t size() const noexcept {
    const detail::short_guard hold(lock_);
    return size_;
  }
  /// How many values may lie in it.
  std::size_t capacity() const noexcept { return capacity_; }

  /// Without waiting: false where it is full or closed, and `value` is untouched.
  bool try_push(T&& value) noexcept {
    detail::woken waiters;
    const detail::short_guard hold(lock_);
    return !closed_ && put(value, waiters);
  }
  /// Without waiting: nothing where it is empty.
  std::optional<T> try_pop() noexcept {
    detail::woken waiters;
    std::optional<T> value;
    const detail::short_guard hold(lock_);
    take(value, waiters);
    return value;
  }

  /// What `push` returns: to be awaited, alone or in a `select`.
  class [[nodiscard]] push_awaiter : public detail::wait_awaiter<push_awaiter> {
   public:
    /// What was not sent: of a push that was not the first of a `select`, or found the channel closed.
    T& value() noexcept { return value_; }

    /// @cond internal
    push_awaiter(channel& c, T&& value) noexcept
        : detail::wait_awaiter<push_awaiter>(c.lock_, c.senders_), channel_(c), value_(std::move(value)) {}
    void await_resume() {
      this->finish();
      if (!sent_) throw error(errc::closed, "push to a closed channel");
    }

   private:
    friend channel;
    friend detail::wait_awaiter<push_awaiter>;
    bool ready() const noexcept { return channel_.closed_ || channel_.size_ < channel_.capacity_; }
    void take(detail::woken& waiters) noexcept { sent_ = !channel_.closed_ && channel_.put(value_, waiters); }
    channel& channel_;
    T value_;
    bool sent_ = false;
    /// @endcond
  };
  /// @cond internal
  class [[nodiscard]] pop_awaiter : public detail::wait_awaiter<pop_awaiter> {
   public:
    explicit pop_awaiter(channel& c) noexcept : detail::wait_awaiter<pop_awaiter>(c.lock_, c.receivers_), channel_(c) {}
    std::optional<T> await_resume() {
      this->finish();
      return std::move(value_);
    }

   private:
    friend channel;
    friend detail::wait_awaiter<pop_awaiter>;
    bool ready() const noexcept { return channel_.size_ != 0 || channel_.closed_; }
    void take(detail::woken& waiters) noexcept { channel_.take(value_, waiters); }
    channel& channel_;
    std::optional<T> value_;
  };
  /// @endcond

  /// `co_await c.push(value)`: waits for room. Throws `error(closed)`, and under stop; the value is then lost.
  push_awaiter push(T value) noexcept { return push_awaiter(*this, std::move(value)); }
  /// `while (auto v = co_await c.pop())`: waits for a value; nothing once the channel is closed and empty. Throws under
  /// stop.
  pop_awaiter pop() noexcept { return pop_awaiter(*this); }

 private:
  bool put(T& value, detail::woken& waiters) noexcept {
    if (detail::waiter* const w = receivers_.pop()) {
      static_cast<pop_awaiter*>(w)->value_.emplace(std::move(value));
      waiters.add(*w);
      return true;
    }
    if (size_ == capacity_) return false;
    ring_[(first_ + size_) % capacity_].emplace(std::move(value));
    ++size_;
    return true;
  }
  bool take(std::optional<T>& value, detail::woken& waiters) noexcept {
    if (size_ == 0) return false;
    value.emplace(std::move(*ring_[first_]));
    ring_[first_].reset();
    first_ = (first_ + 1) % capacity_;
    --size_;
    if (detail::waiter* const w = senders_.pop()) {
      auto* const sender = static_cast<push_awaiter*>(w);
      ring_[(first_ + size_) % capacity_].emplace(std::move(sender->value_));
      ++size_;
      sender->sent_ = true;
      waiters.add(*w);
    }
    return true;
  }
  mutable detail::short_lock lock_;
  detail::wait_list senders_, receivers_;
  const std::size_t capacity_;
  std::unique_ptr<std::optional<T>[]> ring_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  bool closed_ = false;
};

DTASK_END
