// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <exception>
#include <tuple>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/fork_group.hpp"
#include "dtask/task/task_end.hpp"
#include "dtask/task/when_all.hpp"

DTASK_BEGIN

/// What `when_any` yields: which task ended first, and how each of them ended.
template <class... T>
struct any_result {
  std::size_t index;                ///< of the one that ended first
  std::tuple<task_end<T>...> ends;  ///< one for each task, in their order
};
/// The same for a range.
template <class T>
struct any_range_result {
  std::size_t index;              ///< of the one that ended first
  std::vector<task_end<T>> ends;  ///< one for each task, in their order
  /// How the first to end did.
  task_end<T>& first() noexcept { return ends[index]; }
};

namespace detail {
/// One that ends with nothing where the group is stopped before it begins.
template <class T>
fork_child any_child_of(task<T>& t) {
  const fork_child child = child_of(t, "when_any");
  child.promise->run = &task_promise<T>::start_or_leave;
  return child;
}
template <class T>
task_end<T> end_of(task<T>& t) {
  return task_end<T>(t.handle().promise().slot);
}

template <class... T>
class [[nodiscard("dtask: when_any does nothing until it is awaited")]] when_any_op {
 public:
  explicit when_any_op(task<T>&&... tasks) noexcept : tasks_(std::move(tasks)...) {}

  class awaiter {
   public:
    explicit awaiter(std::tuple<task<T>...>& tasks)
        : tasks_(tasks),
          children_{
              std::apply([](auto&... t) { return std::array<fork_child, sizeof...(T)>{any_child_of(t)...}; }, tasks)},
          group_(fork_group::policy::any, children_.data(), sizeof...(T)) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      return transfer_to(group_.start(parent, sizeof...(T)));
    }
    any_result<T...> await_resume() {
      group_.check_started();
      return {static_cast<std::size_t>(group_.decisive()),
              std::apply([](auto&... t) { return std::tuple<task_end<T>...>(end_of(t)...); }, tasks_)};
    }

   private:
    std::tuple<task<T>...>& tasks_;
    std::array<fork_child, sizeof...(T)> children_;
    fork_group group_;
  };
  awaiter operator co_await() && {
    std::get<0>(tasks_).startable("when_any");
    return awaiter(tasks_);
  }

 private:
  std::tuple<task<T>...> tasks_;
};

template <class T>
class [[nodiscard("dtask: when_any does nothing until it is awaited")]] when_any_range_op {
 public:
  explicit when_any_range_op(std::vector<task<T>> tasks) : tasks_(std::move(tasks)) {
    if (tasks_.empty()) throw error(errc::invalid_argument, "when_any over an empty range would never end");
  }
  class awaiter {
   public:
    explicit awaiter(std::vector<task<T>>& tasks) : awaiter(tasks, std::vector<fork_child>()) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      return transfer_to(group_.start(parent, children_.size()));
    }
    any_range_result<T> await_resume() {
      group_.check_started();
      any_range_result<T> all{static_cast<std::size_t>(group_.decisive()), {}};
      all.ends.reserve(tasks_.size());
      for (auto& t : tasks_) all.ends.push_back(end_of(t));
      return all;
    }

   private:
    awaiter(std::vector<task<T>>& tasks, std::vector<fork_child> children)
        : tasks_(tasks), children_(std::move(children)), group_(fork_group::policy::any, fill(), tasks.size()) {}
    fork_child* fill() {
      children_.reserve(tasks_.size());
      for (auto& t : tasks_) children_.push_back(any_child_of(t));
      return children_.data();
    }
    std::vector<task<T>>& tasks_;
    std::vector<fork_child> children_;
    fork_group group_;
  };
  awaiter operator co_await() && {
    if (tasks_.empty()) throw_not_startable(true, "when_any");
    tasks_.front().startable("when_any");
    return awaiter(tasks_);
  }

 private:
  std::vector<task<T>> tasks_;
};
}  // namespace detail

/// Awaits all of them until the first has ended, stops the others, waits for them to end too, and yields which was the
/// first and how each of them ended: with a value, with an exception, or with nothing, where it had not begun.
///
///     auto any = co_await dtask::when_any(fetch(a), fetch(b));
///     if (any.index == 0) use(std::get<0>(any.ends).value());  // throws what that fetch threw
///
/// It throws itself only where stop was requested before: then none is started. A task that is stopped may have a value
/// all the same, which is among the ends. What a task drops inside is its own loss: where it is stopped between the pop
/// of a value, or the acquire of a permit, and its return, nobody gets that any more. To wait for the first of several
/// pops, acquires or times, of which only the first takes: `select`. Not to wait for the others: `first_of`.
template <class... Awaitable>
  requires(sizeof...(Awaitable) > 0 && !(sizeof...(Awaitable) == 1 && (detail::task_range<Awaitable> && ...)))
auto when_any(Awaitable&&... awaitables) {
  return detail::when_any_op<detail::task_result<Awaitable>...>(
      detail::as_task(std::forward<Awaitable>(awaitables))...);
}

/// The same for a range of tasks of one type. Throws `error(invalid_argument)` for an empty one.
template <detail::task_range Range>
auto when_any(Range&& tasks) {
  auto collected = detail::collect_tasks(std::forward<Range>(tasks));
  return detail::when_any_range_op<typename decltype(collected)::value_type::value_type>(std::move(collected));
}

DTASK_END
