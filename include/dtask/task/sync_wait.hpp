// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/parts/thread_state.hpp"
#include "dtask/task/parts/timer_wheel.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// A scheduler that runs its items on the thread that calls `run_until`, in the order in which they were posted.
/// Posting and timers are thread-safe.
class run_loop final : public scheduler {
 public:
  /// Nothing runs before `run_until` is called.
  run_loop() : scheduler(true), wheel_(now()) {}

  void post(work_item& item) noexcept override {
    work_list one;
    one.push(item);
    post_all(one);
  }
  void post_all(work_list items) noexcept override {
    if (items.empty()) return;
    const std::lock_guard hold(guard_);
    queue_.append(std::move(items));
    // Under the lock: the loop may be destroyed as soon as it has run what was posted.
    wake_.notify_one();
  }
  time_point now() const noexcept override { return clock_type::now(); }
  void arm(timer& t, time_point at) noexcept override {
    const std::lock_guard hold(guard_);
    wheel_.arm(&t, at);
    wake_.notify_one();
  }
  bool cancel(timer& t) noexcept override {
    std::unique_lock hold(guard_);
    if (wheel_.disarm(&t)) return true;
    if (!runs_here()) fired_.wait(hold, [&] { return firing_ != &t; });
    return false;
  }
  bool runs_here() const noexcept override { return detail::this_thread().current == this; }

  /// Runs items and timers until `done()` is true, which is asked after every item. Not from two threads at once.
  template <class Done>
  void run_until(Done done) {
    detail::thread_state& thread = detail::this_thread();
    const detail::scheduler_entry entry(*this);
    detail::fork_lane* const lane = std::exchange(thread.lane, nullptr);
    std::unique_lock hold(guard_);
    while (!done()) {
      if (work_item* const item = queue_.pop()) {
        hold.unlock();
        item->run(*item);
        hold.lock();
        continue;
      }
      if (timer* const t = wheel_.advance(now())) {
        firing_ = t;
        hold.unlock();
        t->expired(*t);
        hold.lock();
        firing_ = nullptr;
        fired_.notify_all();
        continue;
      }
      const time_point next = wheel_.next_time();
      if (next == never)
        wake_.wait(hold);
      else
        wake_.wait_until(hold, next);
    }
    hold.unlock();
    thread.lane = lane;
  }

 private:
  std::mutex guard_;
  std::condition_variable wake_, fired_;
  work_list queue_;
  detail::timer_wheel<detail::timer_links> wheel_;
  timer* firing_ = nullptr;
};

namespace detail {
/// The end of a task that a thread blocks for.
template <class T>
class blocking_completion : public completion {
 public:
  blocking_completion(scheduler& where, task<T> t, environment env) : env_(env), task_(std::move(t)) {
    env_.where = &where;
    done = [](completion& self, promise_base&) noexcept -> std::coroutine_handle<> {
      static_cast<blocking_completion&>(self).ended();
      return {};
    };
    auto& promise = task_.filled("sync_wait");
    promise.env = &env_;
    promise.on_done = this;
    promise.run = &task_promise<T>::start;
  }
  work_item& start() noexcept { return task_.handle().promise(); }
  virtual void ended() noexcept = 0;
  T take() { return task_.handle().promise().slot.take(); }

 protected:
  ~blocking_completion() = default;

 private:
  environment env_;
  task<T> task_;
};

template <class T>
class loop_completion final : public blocking_completion<T> {
 public:
  using blocking_completion<T>::blocking_completion;
  void ended() noexcept override { ended_ = true; }
  bool has_ended() const noexcept { return ended_; }

 private:
  bool ended_ = false;
};

template <class T>
class thread_completion final : public blocking_completion<T> {
 public:
  using blocking_completion<T>::blocking_completion;
  void ended() noexcept override {
    const std::lock_guard hold(guard_);
    ended_ = true;
    wake_.notify_one();
  }
  void wait() {
    std::unique_lock hold(guard_);
    wake_.wait(hold, [this] { return ended_; });
  }

 private:
  std::mutex guard_;
  std::condition_variable wake_;
  bool ended_ = false;
};
}  // namespace detail

/// Runs a task (or any awaitable) to its end on the calling thread, which becomes its scheduler, and returns its result
/// or throws its exception.
///
/// `env` may bring a stop source, deadline and trace id; its scheduler is replaced. Blocks: not for use inside a task.
template <class Awaitable>
auto sync_wait(Awaitable awaitable, environment env = {}) {
  auto t = detail::as_task(std::move(awaitable));
  run_loop loop;
  detail::loop_completion<typename decltype(t)::value_type> end(loop, std::move(t), env);
  loop.post(end.start());
  loop.run_until([&] { return end.has_ended(); });
  return end.take();
}

/// Runs a task on `where` and blocks the calling thread until it has ended. On a thread of `where` itself, which could
/// wait for ever, it throws `error(invalid_argument)` at once.
template <class Awaitable>
auto sync_wait(scheduler& where, Awaitable awaitable, environment env = {}) {
  if (where.runs_here() || detail::scheduler_entry::covers(where))
    throw error(errc::invalid_argument, "a thread waits for a task that shall run on its own scheduler", "sync_wait",
                "co_await the task, or run it on this thread: sync_wait(task)");
  auto t = detail::as_task(std::move(awaitable));
  detail::thread_completion<typename decltype(t)::value_type> end(where, std::move(t), env);
  where.post(end.start());
  end.wait();
  return end.take();
}

DTASK_END
