// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/parts/wait.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// The environment of a task that has moved, and its way home at the end. Owned by itself until then.
struct moved_environment : completion, resumption {
  environment env;
  const environment* home = nullptr;
  completion* then = nullptr;  ///< what the task's end meant before it moved
  promise_base* promise = nullptr;

  static std::coroutine_handle<> ended(completion& self, promise_base& p) noexcept {
    auto& moved = static_cast<moved_environment&>(self);
    moved.promise = &p;
    if (moved.home->where == moved.env.where) return moved.go_on();
    moved.run = [](work_item& item) noexcept {
      if (const std::coroutine_handle<> next = static_cast<moved_environment&>(item).go_on()) resume(next);
    };
    moved.home->where->post(moved);
    return {};
  }
  std::coroutine_handle<> go_on() noexcept {
    promise_base& p = *promise;
    completion* const after = then;
    p.env = home;
    p.on_done = after;
    delete this;
    return after ? after->done(*after, p) : p.continuation;
  }
};

class [[nodiscard]] resume_on_awaiter : resumption {
 public:
  explicit resume_on_awaiter(scheduler& to) noexcept : to_(to) {}
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) {
    promise_base& p = h.promise();
    env_ = p.env;
    if (p.env->stop->stop_requested()) {
      stopped_ = true;
      return false;
    }
    if (p.env->where == &to_) return false;
    if (p.on_done && p.on_done->done == &moved_environment::ended) {
      static_cast<moved_environment*>(p.on_done)->env.where = &to_;
    } else {
      auto moved = std::make_unique<moved_environment>();
      moved->done = &moved_environment::ended;
      moved->env = *p.env;
      moved->env.where = &to_;
      moved->home = p.env;
      moved->then = p.on_done;
      p.env = &moved->env;
      p.on_done = moved.release();
    }
    handle = h;
    to_.post(*this);
    return true;
  }
  void await_resume() const {
    if (stopped_) [[unlikely]]
      throw_stopped(*env_);
  }

 private:
  scheduler& to_;
  const environment* env_ = nullptr;
  bool stopped_ = false;
};

template <class T>
class [[nodiscard("dtask: on does nothing until it is awaited")]] on_op {
 public:
  on_op(scheduler& to, task<T> t) noexcept : to_(to), task_(std::move(t)) {}
  class awaiter : completion, resumption {
   public:
    explicit awaiter(on_op& op) noexcept : op_(op) {
      done = [](completion& self, promise_base&) noexcept -> std::coroutine_handle<> {
        auto& me = static_cast<awaiter&>(self);
        me.home_->post(me);
        return {};
      };
    }
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      env_ = *parent.promise().env;
      auto& child = op_.task_.handle().promise();
      if (env_.stop->stop_requested()) {
        child.fail(stopped_exception(env_));
        return false;
      }
      home_ = env_.where;
      handle = parent;
      env_.where = &op_.to_;
      child.env = &env_;
      child.on_done = this;
      note_parent(child, parent.promise());
      child.run = &task_promise<T>::start;
      op_.to_.post(child);
      return true;
    }
    T await_resume() { return op_.task_.handle().promise().slot.take(); }

   private:
    on_op& op_;
    environment env_;
    scheduler* home_ = nullptr;
  };
  awaiter operator co_await() && {
    task_.startable("on");
    return awaiter(*this);
  }

 private:
  scheduler& to_;
  task<T> task_;
};

}  // namespace detail

/// `co_await resume_on(s)`: this task goes on on `s`, with all that it awaits from then on; whoever awaits it resumes
/// at home. Throws, without moving, where stop was requested.
inline detail::resume_on_awaiter resume_on(scheduler& to) noexcept { return detail::resume_on_awaiter(to); }

/// `co_await on(s, t)`: runs `t` on `s` and comes back with its result. Not started under stop.
template <class Awaitable>
auto on(scheduler& to, Awaitable&& awaitable) {
  return detail::on_op<detail::task_result<Awaitable>>(to, detail::as_task(std::forward<Awaitable>(awaitable)));
}

DTASK_END
