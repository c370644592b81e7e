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
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/runtime/detail/thread_barrier.hpp"
#include "dtask/runtime/detail/timer_thread.hpp"
#include "dtask/task/fork_lane.hpp"
#include "dtask/task/short_lock.hpp"

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
  work_pool(const work_pool&) = delete;
  work_pool& operator=(const work_pool&) = delete;
  virtual ~work_pool();

  /// The pool of the process: one thread per core, made at the first use.
  static work_pool& shared() {
    static work_pool pool;
    return pool;
  }

  void post(work_item& item) noexcept override {
    work_list one;
    one.push(item);
    post_all(one);
  }
  void post_all(work_list items) noexcept override {
    const std::size_t count = items.size();
    if (count == 0) return;
    // Until the end under the lock, which the destructor takes once more: what is posted may end the pool's last user
    // while we are still in here.
    const detail::short_guard hold(queue_lock_);
    queue_.append(std::move(items));
    queued_.store(queue_.size(), std::memory_order_relaxed);
    // A thread that counts itself as idle looks into the queue under its lock afterwards, so either it sees these items
    // or we see it.
    for (std::size_t i = 0; i < count && idle_.load(std::memory_order_relaxed) != 0; ++i) wake_one();
  }
  time_point now() const noexcept override { return clock_type::now(); }
  void arm(timer& t, time_point at) noexcept override { timers_.arm(t, at); }
  bool cancel(timer& t) noexcept override { return timers_.cancel(t); }
  bool runs_here() const noexcept override { return detail::this_thread().current == this; }
  boost::asio::any_io_executor executor() noexcept override;

  executor_type get_executor() noexcept;
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
  work_item* take_queued() noexcept {
    if (queued_.load(std::memory_order_relaxed) == 0) return nullptr;
    const detail::short_guard hold(queue_lock_);
    work_item* const item = queue_.pop();
    queued_.store(queue_.size(), std::memory_order_relaxed);
    return item;
  }
  bool anything_left() noexcept;
  void sleep() noexcept;
  void wake_one() noexcept;

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

/// A function posted through the executor.
struct work_pool::function_item : work_item {
  work_pool* pool = nullptr;
};

/// The pool as an Asio executor: `dispatch` on one of its threads runs in place, `post` queues. Copies are a pointer
/// and a flag.
class work_pool::executor_type {
 public:
  explicit executor_type(work_pool& pool) noexcept : pool_(&pool) {}

  work_pool& context() const noexcept { return *pool_; }
  bool running_in_this_thread() const noexcept { return pool_->runs_here(); }

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

  friend bool operator==(const executor_type& a, const executor_type& b) noexcept {
    return a.pool_ == b.pool_ && a.never_ == b.never_;
  }
  friend bool operator!=(const executor_type& a, const executor_type& b) noexcept { return !(a == b); }

 private:
  executor_type(work_pool& pool, bool never_blocks) noexcept : pool_(&pool), never_(never_blocks) {}
  work_pool* pool_;
  bool never_ = false;
};

inline work_pool::executor_type work_pool::get_executor() noexcept { return executor_type(*this); }
inline boost::asio::any_io_executor work_pool::executor() noexcept { return get_executor(); }

inline work_pool::work_pool(unsigned threads) : asio_scheduler(false) {
  if (threads == 0) threads = std::thread::hardware_concurrency();
  if (threads == 0) threads = 1;
  for (unsigned i = 0; i < threads; ++i) {
    workers_.push_back(std::make_unique<worker>(*this));
    workers_.back()->lane.idle = &idle_;
    workers_.back()->lane.wake = [](detail::fork_lane& lane) noexcept {
      static_cast<work_pool*>(lane.where)->wake_one();
    };
  }
  try {
    for (unsigned i = 0; i < threads; ++i) workers_[i]->thread = std::thread([this, i] { run(i); });
  } catch (...) {
    join();
    throw;
  }
}

inline void work_pool::join() noexcept {
  ending_.store(true);
  {
    const std::lock_guard hold(sleep_guard_);
    awake_.notify_all();
  }
  for (auto& w : workers_) {
    if (w->thread.joinable()) w->thread.join();
  }
}

inline work_pool::~work_pool() {
  join();
  {
    const detail::short_guard last_poster_has_left(queue_lock_);
  }
  shutdown();
  destroy();
}

inline void work_pool::run(std::size_t index) noexcept {
  detail::thread_state& thread = detail::this_thread();
  thread.current = this;
  thread.lane = &workers_[index]->lane;
  auto random = static_cast<std::uint32_t>(index * 7919 + 1);
  for (unsigned turn = 1;; ++turn) {
    // Now and then the queue first, so that a task that keeps forking does not starve what was posted.
    work_item* item = turn % 64 == 0 ? take_queued() : nullptr;
    if (!item) item = thread.lane->pop();
    for (int look = 0; !item && look < 32; ++look) {
      item = find(index, random);
      if (!item && look >= 8) std::this_thread::yield();
    }
    if (item) {
      item->run(*item);
      continue;
    }
    if (ending_.load() && !anything_left()) break;
    sleep();
  }
  thread.lane = nullptr;
  thread.current = nullptr;
}

inline work_item* work_pool::find(std::size_t index, std::uint32_t& random) noexcept {
  if (work_item* const item = take_queued()) return item;
  const std::size_t n = workers_.size();
  if (n == 1) return nullptr;
  random = random * 1664525u + 1013904223u;
  const std::size_t start = (random >> 8) % n;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t victim = (start + i) % n;
    if (victim == index) continue;
    if (work_item* const item = workers_[victim]->lane.items.steal()) return item;
  }
  return nullptr;
}

inline bool work_pool::anything_left() noexcept {
  {
    const detail::short_guard hold(queue_lock_);
    if (!queue_.empty()) return true;
  }
  for (const auto& w : workers_) {
    if (!w->lane.items.looks_empty()) return true;
  }
  return false;
}

inline void work_pool::sleep() noexcept {
  {
    const std::lock_guard hold(sleep_guard_);
    idle_.store(++sleepers_, std::memory_order_seq_cst);
  }
  const bool barrier = detail::thread_barrier::available();
  if (barrier) detail::thread_barrier::pass();
  const bool found = anything_left();
  std::unique_lock hold(sleep_guard_);
  if (!found && !ending_.load()) {
    const auto signalled = [this] { return signals_ > 0 || ending_.load(); };
    if (barrier) awake_.wait(hold, signalled);
    // Without the barrier a push could have missed us: look again soon.
    else
      awake_.wait_for(hold, std::chrono::milliseconds(1), signalled);
  }
  // Leave by the signal that was meant for us, or take ourselves off the list.
  if (signals_ > 0)
    --signals_;
  else if (sleepers_ > 0)
    idle_.store(--sleepers_, std::memory_order_relaxed);
}

inline void work_pool::wake_one() noexcept {
  const std::lock_guard hold(sleep_guard_);
  if (sleepers_ == 0) return;
  idle_.store(--sleepers_, std::memory_order_relaxed);
  ++signals_;
  awake_.notify_one();
}

DTASK_END
