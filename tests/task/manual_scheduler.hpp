// SPDX-License-Identifier: BSL-1.0
#pragma once
// A scheduler on virtual time that the test drives: nothing runs and no time passes but by its calls.
#include <chrono>
#include <utility>
#include <vector>

#include "dtask/task/parts/promise.hpp"
#include "dtask/task/parts/timer_wheel.hpp"
#include "dtask/task/scheduler.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/task.hpp"
#include "dtask/task/with_timeout.hpp"

namespace dtask_test {

class manual_scheduler final : public dtask::scheduler {
 public:
  manual_scheduler() : scheduler(true), now_(std::chrono::hours(1)), wheel_(now_) {}

  void post(dtask::work_item& item) noexcept override {
    queue_.push(item);
    ++wake_ups;
  }
  void post_all(dtask::work_list items) noexcept override {
    queue_.append(std::move(items));
    ++wake_ups;
  }
  dtask::time_point now() const noexcept override { return now_; }
  void arm(dtask::timer& t, dtask::time_point at) noexcept override {
    wheel_.arm(&t, at);
    ++timers_;
  }
  bool cancel(dtask::timer& t) noexcept override {
    const bool was_armed = wheel_.disarm(&t);
    timers_ -= was_armed ? 1 : 0;
    return was_armed;
  }
  bool runs_here() const noexcept override { return true; }

  /// Runs what is posted until nothing is left.
  void run() {
    while (dtask::work_item* item = queue_.pop()) item->run(*item);
  }
  /// Lets `length` pass and runs.
  void advance(dtask::duration length) {
    run();
    expire(length);
    run();
  }
  /// Lets `length` pass: whom that sets free is posted.
  void expire(dtask::duration length) {
    now_ += length;
    while (dtask::timer* t = wheel_.advance(now_)) {
      --timers_;
      t->expired(*t);
    }
  }
  /// Turns the order round of what is posted.
  void reverse() {
    std::vector<dtask::work_item*> items;
    while (dtask::work_item* item = queue_.pop()) items.push_back(item);
    while (!items.empty()) {
      queue_.push(*items.back());
      items.pop_back();
    }
  }
  std::size_t timers() const noexcept { return timers_; }
  std::size_t queued() const noexcept { return queue_.size(); }
  int wake_ups = 0;

 private:
  dtask::time_point now_;
  std::size_t timers_ = 0;
  dtask::work_list queue_;
  dtask::detail::timer_wheel<dtask::detail::timer_links> wheel_;
};

/// A task under test on a scheduler: started at once, its end can be looked at.
template <class T>
class started : dtask::detail::completion {
 public:
  started(dtask::scheduler& where, dtask::task<T> t, dtask::stop_source& stop = dtask::stop_source::none())
      : task_(std::move(t)) {
    env_.where = &where;
    env_.stop = &stop;
    done = [](dtask::detail::completion& self, dtask::detail::promise_base&) noexcept -> std::coroutine_handle<> {
      static_cast<started&>(self).ended_ = true;
      return {};
    };
    auto& promise = task_.handle().promise();
    promise.env = &env_;
    promise.on_done = this;
    promise.run = &dtask::detail::task_promise<T>::start;
    where.post(promise);
  }
  bool ended() const noexcept { return ended_; }
  T take() { return task_.handle().promise().slot.take(); }

 private:
  dtask::environment env_;
  dtask::task<T> task_;
  bool ended_ = false;
};
template <class T>
started(dtask::scheduler&, dtask::task<T>) -> started<T>;
template <class T>
started(dtask::scheduler&, dtask::task<T>, dtask::stop_source&) -> started<T>;

/// Runs a task on this thread, for at most a minute.
template <class Awaitable>
auto bounded(Awaitable awaitable) {
  return dtask::sync_wait(dtask::with_timeout(std::move(awaitable), std::chrono::seconds(60)));
}
template <class Awaitable>
auto bounded_on(dtask::scheduler& where, Awaitable awaitable) {
  return dtask::sync_wait(where, dtask::with_timeout(std::move(awaitable), std::chrono::seconds(60)));
}

/// The cause with which a call fails; `ok` where it does not.
template <class F>
dtask::errc cause_of(F f) {
  try {
    f();
  } catch (const dtask::error& e) {
    return e.code();
  }
  return dtask::errc::ok;
}

}  // namespace dtask_test
