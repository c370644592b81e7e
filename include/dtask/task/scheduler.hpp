// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"

DTASK_BEGIN

/// Something a scheduler runs once. Intrusive: the owner (an awaiter or a coroutine frame) keeps it alive until `run`
/// is called, and `run` may destroy it.
struct work_item {
  work_item* next;                   ///< the scheduler's, once it is posted
  void (*run)(work_item&) noexcept;  ///< set before it is posted
};

/// A chain of work items in the order in which they shall run.
class work_list {
 public:
  /// Whether there is nothing in it.
  bool empty() const noexcept { return head_ == nullptr; }
  /// How many items are in it.
  std::size_t size() const noexcept { return size_; }
  /// The first item. Precondition: not empty.
  work_item& front() const noexcept { return *head_; }
  /// Adds `item`, which is in no other list, behind the others.
  void push(work_item& item) noexcept {
    item.next = nullptr;
    if (tail_)
      tail_->next = &item;
    else
      head_ = &item;
    tail_ = &item;
    ++size_;
  }
  /// Takes the first item, or nullptr.
  work_item* pop() noexcept {
    work_item* first = head_;
    if (!first) return nullptr;
    head_ = first->next;
    if (!head_) tail_ = nullptr;
    first->next = nullptr;
    --size_;
    return first;
  }
  /// Moves all of `other` behind what is here.
  void append(work_list&& other) noexcept {
    if (other.empty()) return;
    if (tail_)
      tail_->next = other.head_;
    else
      head_ = other.head_;
    tail_ = other.tail_;
    size_ += other.size_;
    other = work_list();
  }

 private:
  work_item* head_ = nullptr;
  work_item* tail_ = nullptr;
  std::size_t size_ = 0;
};

/// A point in time at which a scheduler calls back. Intrusive and owned by the caller, who cancels it before it dies
/// unless it has expired.
struct timer {
  /// Called once by the scheduler, on a thread of its choice: it may post and request stop, but shall run no user code
  /// and not block.
  void (*expired)(timer&) noexcept = nullptr;
  // What follows belongs to the scheduler while the timer is armed.
  time_point at{};             ///< when it expires, where the scheduler needs it exactly
  timer* previous = nullptr;   ///< its neighbour
  timer* following = nullptr;  ///< its neighbour
  std::uint64_t tick = 0;      ///< when it expires in the scheduler's ticks, or its turn among timers of one time
  std::int32_t place = -1;     ///< where the scheduler keeps it; -1: not armed
};

/// Where tasks run and what time it is: the only door from `task/` to threads, Asio, or a simulation's virtual time.
///
/// `runtime/` implements it on threads and Asio, `sim/` on virtual time, `sync_wait` as a run loop on the calling
/// thread. Thread safety: every member may be called from any thread, unless an implementation (a simulation) says that
/// it has one thread only.
class scheduler {
 public:
  scheduler(const scheduler&) = delete;
  scheduler& operator=(const scheduler&) = delete;

  /// Runs `item` soon, never inside this call. The item stays alive until then.
  virtual void post(work_item& item) noexcept = 0;
  /// Runs all of `items`, in order where the scheduler is serial, with one wake-up.
  virtual void post_all(work_list items) noexcept {
    while (work_item* item = items.pop()) post(*item);
  }
  /// The clock of everything that runs here.
  virtual time_point now() const noexcept = 0;
  /// Calls `t.expired` once `at` has passed. Precondition: `t` is not armed.
  virtual void arm(timer& t, time_point at) noexcept = 0;
  /// Takes the timer back. True: it has not expired and never will. False: it has; where its call is under way on
  /// another thread, this waits for its end.
  virtual bool cancel(timer& t) noexcept = 0;
  /// Whether the calling thread is one on which this scheduler runs its items.
  virtual bool runs_here() const noexcept = 0;

  /// Whether items never run at the same time as each other.
  bool serial() const noexcept { return serial_; }

 protected:
  /// `serial`: its items never run at the same time as each other.
  explicit scheduler(bool serial) noexcept : serial_(serial) {}
  ~scheduler() = default;

 private:
  const bool serial_;
};

DTASK_END
