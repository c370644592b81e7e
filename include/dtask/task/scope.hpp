// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/parts/fork_lane.hpp"
#include "dtask/task/parts/wait.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
class scope;
namespace detail {
struct scope_access;
}

/// The parent of tasks that are not awaited one by one: none of them outlives it. The first that fails stops the
/// others.
///
/// Best made by `with_scope`. A bare scope belongs into an owner with a close function of its own, which awaits
/// `close()` or `join()` before the owner dies: the destructor ends the program where children are still there. Thread
/// safety: `spawn` and `request_stop` from any thread.
class scope {
 public:
  /// Children run on `env.where`, stopped with `env.stop`; what `env` points to outlives the scope.
  explicit scope(const environment& env) noexcept : env_(env) {
    stop_.set_parent(*env.stop);
    env_.stop = &stop_;
    on_child_.self = this;
    on_child_.done = [](detail::completion& c, detail::promise_base& child) noexcept {
      return static_cast<hook&>(c).self->ended(child);
    };
  }
  /// A scope on a scheduler, without anything above it.
  explicit scope(scheduler& where) noexcept : scope(environment{&where, &stop_source::none(), never, 0}) {}
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;
  ~scope() {
    if (children_ != 0) std::terminate();
  }

  /// Stops the children, and all that is spawned later.
  void request_stop(errc cause = errc::cancelled) noexcept { stop_.request_stop(cause); }
  /// The stop of the children as a token, valid while the scope lives.
  stop_token token() noexcept { return stop_token(stop_); }
  /// The same as a source, below the one of the environment that the scope was made with.
  stop_source& stop() noexcept { return stop_; }
  /// What the children inherit.
  const environment& env() const noexcept { return env_; }
  /// How many have been spawned and have not ended.
  std::size_t children() const noexcept {
    const detail::short_guard hold(lock_);
    return children_;
  }

  /// `co_await s.join()`: until no child is left; throws the first failure. Not ended by stop, which ends the children.
  auto join() noexcept { return join_awaiter(*this, true); }
  /// `co_await s.close()`: stops the children and waits for their ends. Later spawns are refused. Throws nothing.
  auto close() noexcept {
    {
      const detail::short_guard hold(lock_);
      closed_ = true;
    }
    stop_.request_stop();
    return join_awaiter(*this, false);
  }
  /// The first failure of a child, or null.
  std::exception_ptr failure() const noexcept {
    const detail::short_guard hold(lock_);
    return failure_;
  }

 private:
  friend detail::scope_access;
  struct hook : detail::completion {
    scope* self = nullptr;
  };
  class [[nodiscard]] join_awaiter : detail::waiter {
   public:
    join_awaiter(scope& s, bool rethrow) noexcept : scope_(s), rethrow_(rethrow) {}
    join_awaiter(join_awaiter&& other) noexcept : detail::waiter(), scope_(other.scope_), rethrow_(other.rethrow_) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
      this->handle = h;
      this->where = h.promise().env->where;
      const detail::short_guard hold(scope_.lock_);
      if (scope_.children_ == 0) return false;
      scope_.joining_.push(*this);
      return true;
    }
    void await_resume() const {
      if (!rethrow_) return;
      if (const std::exception_ptr e = scope_.failure()) std::rethrow_exception(e);
    }

   private:
    scope& scope_;
    bool rethrow_;
  };

  template <class T>
  void adopt(task<T> child) {
    auto& promise = child.handle().promise();
    promise.env = &env_;
    promise.on_done = &on_child_;
    promise.run = &detail::task_promise<T>::start;
    {
      const detail::short_guard hold(lock_);
      if (closed_) throw error(errc::closed, "spawn into a closed scope");
      ++children_;
    }
    child.release();
    env_.where->post(promise);
  }
  std::coroutine_handle<> ended(detail::promise_base& child) noexcept {
    auto& promise = static_cast<detail::task_promise<void>&>(child);
    std::exception_ptr failure;
    if (promise.failed) failure = promise.slot.exception();
    promise.self().destroy();
    if (failure) fail(std::move(failure));
    detail::woken joiners;
    const detail::short_guard hold(lock_);
    if (--children_ == 0) {
      while (detail::waiter* const w = joining_.pop()) joiners.add(*w);
    }
    return {};
  }
  void fail(std::exception_ptr e) noexcept {
    {
      const detail::short_guard hold(lock_);
      // Once stopped, children end because of that: only what stopped the scope is a cause.
      if (failure_ || stop_.stop_requested()) return;
      failure_ = std::move(e);
    }
    stop_.request_stop();
  }

  mutable detail::short_lock lock_;
  environment env_;
  stop_source stop_;
  hook on_child_;
  std::size_t children_ = 0;
  bool closed_ = false;
  std::exception_ptr failure_;
  detail::wait_list joining_;
};

namespace detail {
struct scope_access {
  static void adopt(scope& s, task<void> child) { s.adopt(std::move(child)); }
  static void fail(scope& s, std::exception_ptr e) noexcept { s.fail(std::move(e)); }
};

template <class F, class... Args>
task<void> spawned(F callable, Args... args) {
  auto child = as_task(std::invoke(std::move(callable), std::move(args)...));
  child.filled("spawn");
  co_await std::move(child);
}
}  // namespace detail

/// Starts `callable(args...)`, which returns a task, as a child of `s`, on its scheduler. Callable and arguments are
/// copied or moved into the child's frame first (`std::ref` for references), so a lambda's captures live as long as the
/// child. The result is dropped; a failure stops the scope. Not started where stop was requested. Throws
/// `error(closed)` after `close()`.
template <class F, class... Args>
void spawn(scope& s, F callable, Args... args) {
  constexpr bool callable_here = std::is_invocable_v<F, Args...>;
  static_assert(callable_here,
                "dtask: spawn takes a function that returns a task, and its arguments, not the task: "
                "spawn(scope, f, 3) for f(3)");
  if constexpr (callable_here)
    detail::scope_access::adopt(s, detail::spawned<F, Args...>(std::move(callable), std::move(args)...));
}

/// `co_await with_scope(body, args...)`: runs `body(scope&, args...)`, a task, under the scope. When it returns or
/// throws, or stop is requested, the children are stopped and awaited (`co_await s.join()` in the body lets them
/// finish). A child that fails stops the body too, and its failure is what this throws.
template <class Body, class... Args>
auto with_scope(Body body, Args... args) -> task<detail::task_result<std::invoke_result_t<Body, scope&, Args...>>> {
  using result = detail::task_result<std::invoke_result_t<Body, scope&, Args...>>;
  const environment& env = co_await this_environment();
  scope inside(env);
  detail::result_slot<result> value;
  try {
    auto t = detail::as_task(std::invoke(std::move(body), inside, std::move(args)...));
    t.filled("with_scope");
    auto guarded = with_stop(inside.stop(), std::move(t));
    if constexpr (std::is_void_v<result>) {
      co_await std::move(guarded);
      value.set();
    } else {
      value.set(co_await std::move(guarded));
    }
  } catch (...) {
    if (const std::exception_ptr first = inside.failure())
      value.fail(first);
    else
      value.fail(std::current_exception());
  }
  co_await inside.close();
  // The body was done, but a child had failed before.
  if (const std::exception_ptr first = inside.failure()) std::rethrow_exception(first);
  co_return value.take();
}

DTASK_END
