// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <cstddef>
#include <exception>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/held_task.hpp"
#include "dtask/task/parts/promise.hpp"
#include "dtask/task/parts/result_slot.hpp"

DTASK_BEGIN
template <class T = void>
class task;

namespace detail {
template <class T>
class task_promise;

template <class T>
class task_promise_result : public promise_base {
 public:
  template <class U = T>
    requires std::is_constructible_v<T, U&&> || std::is_reference_v<T>
  void return_value(U&& value) {
    slot.set(std::forward<U>(value));
  }
  result_slot<T> slot;
};
template <>
class task_promise_result<void> : public promise_base {
 public:
  void return_void() noexcept { slot.set(); }
  result_slot<void> slot;
};

template <class T>
class task_promise : public task_promise_result<T> {
 public:
  using value_type = T;
  using handle = std::coroutine_handle<task_promise>;
  task<T> get_return_object() noexcept;
  void unhandled_exception() noexcept {
    fail(std::current_exception());
#if DTASK_DEBUG
    exception_stacks::note(this->slot.exception(), this->live);
#endif
  }
  handle self() noexcept { return handle::from_promise(*this); }
  void fail(std::exception_ptr e) noexcept {
    this->slot.fail(std::move(e));
    this->failed = true;
  }
  /// As a work item: starts the task, whose `env` and `on_done` are set; under stop it ends the task with the cause
  /// instead.
  static void start(work_item& item) noexcept {
    auto& self = static_cast<task_promise&>(item);
    if (!self.env->stop->stop_requested()) [[likely]]
      return resume(self.self());
    self.fail(stopped_exception(*self.env));
    if (const std::coroutine_handle<> next = self.on_done->done(*self.on_done, self)) resume(next);
  }
  /// The same, but under stop the task ends without having begun: with nothing.
  static void start_or_leave(work_item& item) noexcept {
    auto& self = static_cast<task_promise&>(item);
    if (!self.env->stop->stop_requested()) return resume(self.self());
    if (const std::coroutine_handle<> next = self.on_done->done(*self.on_done, self)) resume(next);
  }
};

template <class T>
constexpr bool always_false = false;

[[noreturn, gnu::noinline, gnu::cold]] inline void throw_not_startable(bool empty, const char* by) {
  throw error(errc::invalid_argument, empty ? "an empty task is awaited" : "the same tasks are awaited again", by,
              "a task is awaited once: afterwards it is empty, like a default-constructed or moved-from one");
}
}  // namespace detail

/// A lazy unit of asynchronous work that ends with a `T` or an exception. It runs when it is awaited, once, on the
/// scheduler of who awaits it.
///
/// Awaiting hands down the environment (scheduler, stop, deadline, trace id). Where stop has been requested, the
/// awaited task is not started and the await throws `error(cancelled)` or `error(deadline_exceeded)`. Destroying a task
/// that never ran frees its frame and its arguments. Awaiting an empty task (default-constructed or moved from), or one
/// a second time, throws `error(invalid_argument)`, and so do all functions that take tasks. A chain of tasks, each a
/// parameter of the next, may be of any length; tasks in a container, a tuple or a callable that is a parameter are
/// destroyed one inside the other, and the stack limits how deep (some 50,000). Move-only. Not thread-safe;
/// a task may be awaited on another thread than the one that made it.
template <class T>
class [[nodiscard("dtask: a task does nothing until it is awaited")]] task {
 public:
  /// @cond internal
  using promise_type = detail::task_promise<T>;
  /// @endcond
  using value_type = T;  ///< what it ends with

  /// Empty.
  task() noexcept = default;
  /// Takes over what `other` would run; `other` is empty afterwards.
  task(task&& other) noexcept : handle_(other.release()) {}
  /// The same; what was here is destroyed without having run.
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = other.release();
    }
    return *this;
  }
  ~task() {
    if (handle_) handle_.destroy();
  }

  /// Whether there is a coroutine to await: false for a default-constructed or moved-from task.
  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }

  /// @cond internal
  class [[nodiscard]] awaiter {
   public:
    explicit awaiter(typename promise_type::handle h) noexcept : handle_(h) {}
    awaiter(const awaiter&) = delete;
    awaiter& operator=(const awaiter&) = delete;
    ~awaiter() { handle_.destroy(); }
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    detail::transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      promise_type& child = handle_.promise();
      const environment* const env = parent.promise().env;
      if (env->stop->stop_requested()) [[unlikely]] {
        child.fail(detail::stopped_exception(*env));
        return detail::transfer_to(parent);
      }
      child.env = env;
      child.continuation = parent;
      detail::note_parent(child, parent.promise());
      return detail::transfer_to(handle_);
    }
    T await_resume() { return handle_.promise().slot.take(); }

   private:
    typename promise_type::handle handle_;
  };

  awaiter operator co_await() && {
    filled("co_await");
    // The task is empty from now on, so that whoever uses it again hears of it.
    return awaiter(release());
  }
  template <class Unused = void>
  awaiter operator co_await() & {
    static_assert(detail::always_false<Unused>, "dtask: a task is awaited once, as an rvalue: co_await std::move(t)");
    return awaiter(handle_);
  }
  /// @endcond

  /// For combinators: the coroutine, still owned by this task.
  typename promise_type::handle handle() const noexcept { return handle_; }
  /// For combinators: the promise; throws `error(invalid_argument)` where the task is empty. `by` is who wants to start
  /// it, for the error's place.
  promise_type& filled(const char* by) const {
    if (!handle_) [[unlikely]]
      detail::throw_not_startable(true, by);
    return handle_.promise();
  }
  /// For combinators that keep their tasks: the same where it has ended before, because the combinator is awaited
  /// again.
  promise_type& startable(const char* by) const {
    promise_type& promise = filled(by);
    if (!promise.slot.empty()) [[unlikely]]
      detail::throw_not_startable(false, by);
    return promise;
  }
  /// For combinators: the coroutine, owned by the caller from now on.
  typename promise_type::handle release() noexcept {
    void* at = handle_.address();
    // Kept a scalar: two neighbours that were just written one by one, loaded by g++ as one vector, cost a failed store
    // forwarding (2 ns a fork).
    asm("" : "+r"(at));
    handle_ = {};
    return promise_type::handle::from_address(at);
  }

 private:
  friend promise_type;
  explicit task(typename promise_type::handle h) noexcept : handle_(h) {}
  typename promise_type::handle handle_;
};

template <class T>
task<T> detail::task_promise<T>::get_return_object() noexcept {
  return task<T>(self());
}

namespace detail {
template <class T>
constexpr bool is_task = false;
template <class T>
constexpr bool is_task<task<T>> = true;

/// The promise of a coroutine some of whose parameters, `Parameters`, are tasks: they go without recursion. For all
/// others it is a task_promise, at the same place of the frame.
template <class T, class... Parameters>
class holding_promise : public task_promise<T> {
 public:
  holding_promise() noexcept = default;  // a const parameter, which nobody takes anything out of
  explicit holding_promise(std::remove_reference_t<Parameters>&... parameters) noexcept {
    static_assert(alignof(holding_promise) == alignof(task_promise<T>));
    held_task* to = held_;
    (note<Parameters>(to, parameters), ...);
  }
  ~holding_promise() { drop_held(held_, count); }

 private:
  static constexpr std::size_t count = (std::size_t{is_task<Parameters>} + ...);
  template <class Parameter, class Object>
  static void note([[maybe_unused]] held_task*& to, [[maybe_unused]] Object& parameter) noexcept {
    if constexpr (is_task<Parameter>) {
      to->at = &parameter;
      to->release = [](void* at) noexcept -> work_item* {
        const auto coroutine = static_cast<Parameter*>(at)->release();
        if (!coroutine) return nullptr;
        using promise = typename Parameter::promise_type;
        promise& item = coroutine.promise();
        item.run = [](work_item& self) noexcept { static_cast<promise&>(self).self().destroy(); };
        return &item;
      };
      ++to;
    }
  }
  held_task held_[count];
};
}  // namespace detail

DTASK_END

/// @cond internal
template <class T, class... Parameters>
  requires(dtask::detail::is_task<Parameters> || ...)
struct std::coroutine_traits<dtask::task<T>, Parameters...> {
  using promise_type = dtask::detail::holding_promise<T, Parameters...>;
};
/// @endcond
