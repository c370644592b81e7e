// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// Awaits one task under an environment that `Change` makes from the awaiting task's. `Change` has
/// `bool begin(environment&)`, which changes the copy (false: the task is not started, the await ends with the cause of
/// the changed environment's stop), `end(const environment&)`, and a `name` for errors.
template <class T, class Change>
class [[nodiscard("dtask: this does nothing until it is awaited")]] changed_op {
 public:
  template <class... Args>
  explicit changed_op(task<T> t, Args&&... args) : task_(std::move(t)), change_(std::forward<Args>(args)...) {}

  class awaiter {
   public:
    explicit awaiter(changed_op& op) noexcept : op_(op) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      env_ = *parent.promise().env;
      auto& child = op_.task_.handle().promise();
      if (!op_.change_.begin(env_)) {
        child.fail(stopped_exception(env_));
        return transfer_to(parent);
      }
      child.env = &env_;
      child.continuation = parent;
      note_parent(child, parent.promise());
      return transfer_to(op_.task_.handle());
    }
    T await_resume() {
      op_.change_.end(env_);
      return op_.task_.handle().promise().slot.take();
    }

   private:
    changed_op& op_;
    environment env_;
  };
  awaiter operator co_await() && {
    task_.startable(Change::name);
    return awaiter(*this);
  }

 private:
  task<T> task_;
  Change change_;
};

}  // namespace detail
DTASK_END
