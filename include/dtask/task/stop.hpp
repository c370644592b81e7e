// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/parts/short_lock.hpp"
#include "dtask/task/parts/thread_state.hpp"

DTASK_BEGIN
class stop_source;

namespace detail {
/// One entry in a stop source's list.
struct stop_link {
  void (*fire)(stop_link&, errc cause) noexcept;
  stop_source* source = nullptr;  ///< where it was registered, or null: then the other members say nothing
  bool listed;                    ///< guarded by the source's lock
  stop_link* previous;
  stop_link* following;
  stop_link() noexcept {}  // a wait that is never stopped shall not pay for it
  constexpr explicit stop_link(std::nullptr_t) noexcept
      : fire(nullptr), listed(false), previous(nullptr), following(nullptr) {}
};

/// Grows with every request: a source that has seen the current value knows that none of its ancestors was stopped
/// since.
inline std::atomic<std::uint64_t> stop_epoch{1};
}  // namespace detail

/// Says once, for good, that the work under it shall end, and why. Sources form a tree: a stop reaches all descendants.
///
/// It lives in the frame or object that owns the work and must outlive it. A child costs a few stores: it links itself
/// to its parent only when somebody waits under it; until then a check compares one global counter. Deadlines are stops
/// with the cause `deadline_exceeded`, requested by a timer. Thread safety: all members but the destructor may be
/// called from any thread. Callbacks run on the thread that requests.
class stop_source {
 public:
  /// A root: stopped by `request_stop` alone.
  stop_source() noexcept {}
  /// Stopped with its parent too. `parent` must outlive this.
  explicit stop_source(stop_source& parent) noexcept { set_parent(parent); }
  stop_source(const stop_source&) = delete;
  stop_source& operator=(const stop_source&) = delete;
  ~stop_source() {
    if (linked_) [[unlikely]]
      parent_->remove(up_);
  }

  /// Puts a root under `parent`, before anybody else knows it.
  void set_parent(stop_source& parent) noexcept {
    if (!parent.can_stop_) return;
    parent_ = &parent;
    seen_.store(parent.seen_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }

  /// The source that is never stopped, for environments without one.
  static stop_source& none() noexcept;

  /// Whether this source or one above it was stopped. Costs two loads when nothing was stopped since the last look.
  bool stop_requested() const noexcept {
    if (stopped_.load(std::memory_order_acquire)) return true;
    const std::uint64_t epoch = detail::stop_epoch.load(std::memory_order_acquire);
    if (epoch == seen_.load(std::memory_order_relaxed)) return false;
    return look_up(epoch);
  }
  /// Whether it can be stopped at all.
  bool stop_possible() const noexcept { return can_stop_; }

  /// Why: `cancelled` or `deadline_exceeded`; `ok` while it is not stopped.
  errc cause() const noexcept {
    for (const stop_source* s = this; s; s = s->parent_) {
      if (s->stopped_.load(std::memory_order_acquire)) return s->cause_;
    }
    return errc::ok;
  }

  /// Stops this and everything below. False where this source had been stopped before. Returns after all callbacks have
  /// run.
  bool request_stop(errc cause = errc::cancelled) noexcept {
    if (!can_stop_) return false;
    lock_.lock();
    if (stopped_.load(std::memory_order_relaxed)) {
      lock_.unlock();
      return false;
    }
    cause_ = cause;
    runner_ = &detail::this_thread();
    running_ = nullptr;
    stopped_.store(true, std::memory_order_release);
    detail::stop_epoch.fetch_add(1, std::memory_order_release);
    const std::atomic_ref<detail::stop_link*> running(running_);
    while (detail::stop_link* link = first_) {
      first_ = link->following;
      if (first_) first_->previous = nullptr;
      link->listed = false;
      running.store(link, std::memory_order_relaxed);
      lock_.unlock();
      link->fire(*link, cause);
      // The callback may have destroyed its link: from here on only the address counts.
      lock_.lock();
      running.store(nullptr, std::memory_order_release);
    }
    lock_.unlock();
    return true;
  }

  /// Registers `link`. False: already stopped, the link was not taken and will not be called.
  bool add(detail::stop_link& link) noexcept {
    if (!can_stop_) return true;
    const detail::short_guard hold(lock_);
    // An ancestor's stop counts from the moment it is requested, not only when it has come down to here.
    if (stop_requested()) return false;
    if (parent_ && !linked_) {
      up_.fire = [](detail::stop_link& up, errc cause) noexcept {
        // up_ is a member of the child, at a fixed place: the child is standing as long as it is registered.
        static_cast<up_link&>(up).child->request_stop(cause);
      };
      up_.child = this;
      if (!parent_->add(up_)) return false;
      linked_ = true;
    }
    link.source = this;
    link.listed = true;
    link.previous = nullptr;
    link.following = first_;
    if (first_) first_->previous = &link;
    first_ = &link;
    return true;
  }
  /// Takes `link` back, which was registered here. Afterwards its callback neither runs nor will run; where it is
  /// running on another thread, this waits for its end.
  void remove(detail::stop_link& link) noexcept {
    lock_.lock();
    if (link.listed) {
      if (link.previous)
        link.previous->following = link.following;
      else
        first_ = link.following;
      if (link.following) link.following->previous = link.previous;
      link.listed = false;
      lock_.unlock();
      return;
    }
    // Registered and not in the list any more: this source was stopped.
    const std::atomic_ref<detail::stop_link*> running(running_);
    const bool elsewhere = running.load(std::memory_order_acquire) == &link && runner_ != &detail::this_thread();
    lock_.unlock();
    if (!elsewhere) return;
    while (running.load(std::memory_order_acquire) == &link) std::this_thread::yield();
  }

 private:
  struct never_tag {};
  constexpr explicit stop_source(never_tag) noexcept
      : can_stop_(false), cause_(errc::ok), runner_(nullptr), running_(nullptr), up_(nullptr) {}
  struct up_link : detail::stop_link {
    stop_source* child;
    up_link() noexcept {}
    constexpr explicit up_link(std::nullptr_t) noexcept : stop_link(nullptr), child(nullptr) {}
  };
  [[gnu::noinline]] bool look_up(std::uint64_t epoch) const noexcept {
    for (const stop_source* s = this; s; s = s->parent_) {
      if (s->stopped_.load(std::memory_order_acquire)) return true;
    }
    seen_.store(epoch, std::memory_order_relaxed);
    return false;
  }

  stop_source* parent_ = nullptr;
  mutable std::atomic<std::uint64_t> seen_{0};
  std::atomic<bool> stopped_{false};
  const bool can_stop_ = true;
  bool linked_ = false;
  detail::short_lock lock_;
  detail::stop_link* first_ = nullptr;
  // Written by the one that stops, and read only where stopped_ is set: a group of tasks that is never stopped does not
  // pay for them.
  errc cause_;
  const void* runner_;          // the thread that calls
  detail::stop_link* running_;  // what it is calling, through atomic_ref
  up_link up_;
  struct never_stopped;
};

/// @cond internal
struct stop_source::never_stopped {
  static constinit stop_source source;
};
inline constinit stop_source stop_source::never_stopped::source{stop_source::never_tag{}};
inline stop_source& stop_source::none() noexcept { return never_stopped::source; }
/// @endcond

/// A view of a stop source, for code that asks and does not own. Valid while the source lives: inside a task, for as
/// long as the task runs.
class stop_token {
 public:
  /// Never stopped.
  stop_token() noexcept = default;
  /// A view of `source`.
  explicit stop_token(stop_source& source) noexcept : source_(&source) {}
  /// Whether the work is to end.
  bool stop_requested() const noexcept { return source_->stop_requested(); }
  /// Whether it can be stopped at all.
  bool stop_possible() const noexcept { return source_->stop_possible(); }
  /// Why: `cancelled` or `deadline_exceeded`; `ok` while it is not stopped.
  errc cause() const noexcept { return source_->cause(); }
  /// Throws `error(cancelled)` or `error(deadline_exceeded)` where stop was requested: the check for loops that compute
  /// without awaiting.
  void check() const {
    if (stop_requested()) throw error(cause(), "stopped");
  }
  /// What it is a view of.
  stop_source& source() const noexcept { return *source_; }

 private:
  stop_source* source_ = &stop_source::none();
};

/// Calls `callback(cause)` once when stop is requested: at once, in the constructor, where it had been requested
/// before.
///
/// The callback runs on the requesting thread and must not throw, block or wait for the requester. The destructor waits
/// while it runs on another thread.
template <class F>
class stop_callback : detail::stop_link {
 public:
  /// `token`: of a source that outlives this. `callback`: called with the cause.
  stop_callback(stop_token token, F callback) : callback_(std::move(callback)) {
    fire = [](detail::stop_link& link, errc cause) noexcept { static_cast<stop_callback&>(link).callback_(cause); };
    if (!token.source().add(*this)) callback_(token.cause());
  }
  ~stop_callback() {
    if (source) source->remove(*this);
  }
  stop_callback(const stop_callback&) = delete;
  stop_callback& operator=(const stop_callback&) = delete;

 private:
  F callback_;
};

DTASK_END
