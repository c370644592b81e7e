// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/core_count.hpp"
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/runtime/detail/thread_barrier.hpp"
#include "dtask/runtime/detail/timer_thread.hpp"
#include "dtask/task/parts/fork_lane.hpp"
#include "dtask/task/parts/short_lock.hpp"

DTASK_BEGIN

/// Threads that share work: a scheduler for tasks that compute, and an Asio execution context with an executor.
///
/// Each thread forks (`when_all`) to a deque of its own and steals from the others when it has nothing; what is posted
/// goes through one queue, first in first out. Idle threads sleep. Timers run on a thread of their own, so that a
/// deadline stops tasks that keep all threads busy. Sockets belong on an `io_thread`.
///
/// The destructor runs what is queued, drops functions posted through the executor, and joins the threads: tasks that
/// wait for something else shall have ended before.
class work_pool : public boost::asio::execution_context, public asio_scheduler {
 public:
  class executor_type;

  /// `threads`: how many, at least 1; 0: one per core. Throws std::system_error where a thread cannot be started.
  explicit work_pool(unsigned threads = 0);
  /// The same; each thread calls `begin` before anything else.
  work_pool(unsigned threads, void (*begin)() noexcept);
  work_pool(const work_pool&) = delete;
  work_pool& operator=(const work_pool&) = delete;
  virtual ~work_pool();

  /// The pool of the process: one thread per core, made at the first use.
  static work_pool& shared() {
    static work_pool pool;
    return pool;
  }

  void post(work_item& item) noexcept override;
  void post_all(work_list items) noexcept override;
  time_point now() const noexcept override { return clock_type::now(); }
  void arm(timer& t, time_point at) noexcept override { timers_.arm(t, at); }
  bool cancel(timer& t) noexcept override { return timers_.cancel(t); }
  bool runs_here() const noexcept override { return detail::this_thread().current == this; }
  boost::asio::any_io_executor executor() noexcept override;

  /// The pool as an Asio executor.
  executor_type get_executor() noexcept;
  /// How many threads it has, the one of the timers aside.
  std::size_t threads() const noexcept { return workers_.size(); }

 private:
  friend executor_type;
  struct worker {
    explicit worker(work_pool& pool) : lane(pool) {}
    detail::fork_lane lane;
    std::thread thread;
  };
  struct function_item;

  void run(std::size_t index) noexcept;
  void join() noexcept;
  work_item* find(std::size_t index, std::uint32_t& random) noexcept;
  work_item* take_queued() noexcept;
  bool anything_left() noexcept;
  void sleep() noexcept;
  void wake_one() noexcept;

  void (*const begin_)() noexcept;
  std::vector<std::unique_ptr<worker>> workers_;
  detail::short_lock queue_lock_;
  work_list queue_;
  std::atomic<std::size_t> queued_{0};

  // The event count. `sleepers_` have registered and were not signalled; `signals_` are wake-ups that nobody has taken
  // yet.
  alignas(64) std::atomic<unsigned> idle_{0};  // mirrors sleepers_ for a look without the lock
  std::mutex sleep_guard_;
  std::condition_variable awake_;
  unsigned sleepers_ = 0;
  unsigned signals_ = 0;
  std::atomic<bool> ending_{false};
  detail::timer_thread timers_;
};

/// @cond internal
/// A function posted through the executor.
struct work_pool::function_item : work_item {
  work_pool* pool = nullptr;
};
/// @endcond

/// The pool as an Asio executor: `dispatch` on one of its threads runs in place, `post` queues. Copies are a pointer
/// and a flag.
class work_pool::executor_type {
 public:
  /// Of `pool`, which outlives it.
  explicit executor_type(work_pool& pool) noexcept : pool_(&pool) {}

  /// The pool.
  work_pool& context() const noexcept { return *pool_; }
  /// Whether the calling thread is one of the pool's.
  bool running_in_this_thread() const noexcept { return pool_->runs_here(); }

  /// @cond internal
  executor_type require(boost::asio::execution::blocking_t::possibly_t) const noexcept {
    return executor_type(*pool_, false);
  }
  executor_type require(boost::asio::execution::blocking_t::never_t) const noexcept {
    return executor_type(*pool_, true);
  }
  boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) const noexcept {
    return never_ ? boost::asio::execution::blocking_t(boost::asio::execution::blocking.never)
                  : boost::asio::execution::blocking_t(boost::asio::execution::blocking.possibly);
  }
  boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept { return *pool_; }
  static constexpr boost::asio::execution::mapping_t query(boost::asio::execution::mapping_t) noexcept {
    return boost::asio::execution::mapping.thread;
  }
  std::size_t query(boost::asio::execution::occupancy_t) const noexcept { return pool_->threads(); }
  /// @endcond

  /// Runs `f` on the pool. Throws std::bad_alloc.
  template <class F>
  void execute(F&& f) const {
    using function = std::decay_t<F>;
    if (!never_ && pool_->runs_here()) {
      function local(std::forward<F>(f));
      local();
      return;
    }
    struct item : function_item {
      explicit item(F&& g) : body(std::forward<F>(g)) {}
      function body;
    };
    auto* const made = new item(std::forward<F>(f));
    made->pool = pool_;
    made->run = [](work_item& self) noexcept {
      const std::unique_ptr<item> owned(static_cast<item*>(&self));
      if (owned->pool->ending_.load(std::memory_order_relaxed)) return;
      function body(std::move(owned->body));
      body();
    };
    pool_->post(*made);
  }

  /// Whether both run functions in the same way on the same pool.
  friend bool operator==(const executor_type& a, const executor_type& b) noexcept {
    return a.pool_ == b.pool_ && a.never_ == b.never_;
  }
  /// The contrary.
  friend bool operator!=(const executor_type& a, const executor_type& b) noexcept { return !(a == b); }

 private:
  executor_type(work_pool& pool, bool never_blocks) noexcept : pool_(&pool), never_(never_blocks) {}
  work_pool* pool_;
  bool never_ = false;
};

inline work_pool::executor_type work_pool::get_executor() noexcept { return executor_type(*this); }
inline boost::asio::any_io_executor work_pool::executor() noexcept { return get_executor(); }

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/runtime/impl/work_pool.ipp"
#endif
