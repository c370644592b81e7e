// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// A task that was started on a scheduler and is waited for later, by a task or by a thread. Owns itself until its end.
class background : completion {
 public:
  static std::shared_ptr<background> start(scheduler& where, task<> work) {
    auto self = std::make_shared<background>(where, std::move(work));
    self->self_ = self;
    where.post(self->task_.handle().promise());
    return self;
  }
  background(scheduler& where, task<> work) : task_(std::move(work)) {
    env_.where = &where;
    env_.stop = &stop_;
    done = [](completion& c, promise_base&) noexcept -> std::coroutine_handle<> {
      static_cast<background&>(c).end();
      return {};
    };
    auto& promise = task_.filled("background");
    promise.env = &env_;
    promise.on_done = this;
    promise.run = &task_promise<void>::start;
  }

  scheduler& where() const noexcept { return *env_.where; }
  void request_stop() noexcept { stop_.request_stop(); }
  /// Set at the end.
  event& ended() noexcept { return ended_; }
  /// What the task threw, or null. After the end.
  const std::exception_ptr& failure() const noexcept { return failure_; }
  /// Blocks the thread until the end.
  void wait() {
    std::unique_lock hold(guard_);
    wake_.wait(hold, [this] { return over_; });
  }

 private:
  void end() noexcept {
    const std::shared_ptr<background> keep = std::move(self_);
    auto& slot = task_.handle().promise().slot;
    if (slot.failed()) failure_ = slot.exception();
    task_ = task<>();
    {
      const std::lock_guard hold(guard_);
      over_ = true;
      wake_.notify_all();
    }
    ended_.set();
  }
  environment env_;
  stop_source stop_;
  task<> task_;
  std::shared_ptr<background> self_;
  std::exception_ptr failure_;
  event ended_;
  std::mutex guard_;
  std::condition_variable wake_;
  bool over_ = false;
};

}  // namespace detail
DTASK_END
