// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <exception>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/fork_group.hpp"
#include "dtask/task/detail/tuple_element.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

template <class T>
fork_child child_of(task<T>& t, const char* by) {
  auto& promise = t.filled(by);
  promise.run = &task_promise<T>::start;
  return {&promise, t.handle()};
}
template <class T>
std::vector<fork_child> make_children(std::vector<task<T>>& tasks, const char* by) {
  std::vector<fork_child> children;
  children.reserve(tasks.size());
  for (auto& t : tasks) children.push_back(child_of(t, by));
  return children;
}
template <class T>
tuple_element<T> take_result(task<T>& t) {
  if constexpr (std::is_void_v<T>) {
    t.handle().promise().slot.take();
    return {};
  } else {
    return t.handle().promise().slot.take();
  }
}
template <class T>
void rethrow_failure(task<T>& t) {
  auto& slot = t.handle().promise().slot;
  if (slot.failed()) std::rethrow_exception(slot.exception());
}

template <class... T>
class [[nodiscard("dtask: when_all does nothing until it is awaited")]] when_all_op {
 public:
  explicit when_all_op(task<T>&&... tasks) noexcept : tasks_(std::move(tasks)...) {}

  class awaiter {
   public:
    explicit awaiter(std::tuple<task<T>...>& tasks)
        : tasks_(tasks),
          children_{std::apply(
              [](auto&... t) { return std::array<fork_child, sizeof...(T)>{child_of(t, "when_all")...}; }, tasks)},
          group_(fork_group::policy::all, children_.data(), sizeof...(T)) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      return transfer_to(group_.start(parent, sizeof...(T)));
    }
    std::tuple<tuple_element<T>...> await_resume() {
      group_.check_started();
      if (group_.decisive() >= 0) [[unlikely]]
        rethrow(std::index_sequence_for<T...>{});
      return std::apply([](auto&... t) { return std::tuple<tuple_element<T>...>(take_result(t)...); }, tasks_);
    }

   private:
    template <std::size_t... I>
    [[gnu::noinline, gnu::cold]] void rethrow(std::index_sequence<I...>) {
      ((group_.decisive() == static_cast<std::ptrdiff_t>(I) ? rethrow_failure(std::get<I>(tasks_)) : void()), ...);
    }
    std::tuple<task<T>...>& tasks_;
    std::array<fork_child, sizeof...(T)> children_;
    fork_group group_;
  };
  awaiter operator co_await() && {
    std::get<0>(tasks_).startable("when_all");
    return awaiter(tasks_);
  }

 private:
  std::tuple<task<T>...> tasks_;
};

template <class T>
class [[nodiscard("dtask: when_all does nothing until it is awaited")]] when_all_range_op {
 public:
  using results = std::conditional_t<std::is_void_v<T>, void, std::vector<tuple_element<T>>>;
  explicit when_all_range_op(std::vector<task<T>> tasks) noexcept : tasks_(std::move(tasks)) {}

  class awaiter {
   public:
    explicit awaiter(std::vector<task<T>>& tasks)
        : tasks_(tasks),
          children_(make_children(tasks, "when_all")),
          group_(fork_group::policy::all, children_.data(), children_.size()) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      return transfer_to(group_.start(parent, children_.size()));
    }
    results await_resume() {
      group_.check_started();
      if (group_.decisive() >= 0) rethrow_failure(tasks_[static_cast<std::size_t>(group_.decisive())]);
      if constexpr (!std::is_void_v<T>) {
        results all;
        all.reserve(tasks_.size());
        for (auto& t : tasks_) all.push_back(take_result(t));
        return all;
      }
    }

   private:
    std::vector<task<T>>& tasks_;
    std::vector<fork_child> children_;
    fork_group group_;
  };
  awaiter operator co_await() && {
    if (!tasks_.empty()) tasks_.front().startable("when_all");
    return awaiter(tasks_);
  }

 private:
  std::vector<task<T>> tasks_;
};

/// The tasks of a range, moved out of it.
template <class Range>
auto collect_tasks(Range&& range) {
  using element = std::remove_cvref_t<std::ranges::range_reference_t<Range>>;
  std::vector<task<task_result<element>>> tasks;
  if constexpr (std::ranges::sized_range<Range>) tasks.reserve(std::ranges::size(range));
  for (auto&& a : range) tasks.push_back(as_task(std::move(a)));
  return tasks;
}
template <class R>
concept task_range = std::ranges::input_range<R> && !std::is_lvalue_reference_v<R>;

}  // namespace detail

/// Awaits all of them together, concurrently where the scheduler has several threads, and yields a tuple of their
/// results (`std::monostate` for void).
///
/// The first failure stops the others; all have ended when this throws it. Under stop none is started. Tasks and other
/// awaitables, as rvalues. On a `work_pool` this is fork and join: the first runs on this thread, idle threads take the
/// others.
template <class... Awaitable>
  requires(sizeof...(Awaitable) > 0 && !(sizeof...(Awaitable) == 1 && (detail::task_range<Awaitable> && ...)))
auto when_all(Awaitable&&... awaitables) {
  return detail::when_all_op<detail::task_result<Awaitable>...>(
      detail::as_task(std::forward<Awaitable>(awaitables))...);
}

/// The same for a range of tasks of one type: a vector of results in the order of the range, or nothing for
/// `task<void>`. An empty range is done at once.
template <detail::task_range Range>
auto when_all(Range&& tasks) {
  auto collected = detail::collect_tasks(std::forward<Range>(tasks));
  return detail::when_all_range_op<typename decltype(collected)::value_type::value_type>(std::move(collected));
}

DTASK_END
