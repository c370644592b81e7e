// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <exception>
#include <utility>
#include <variant>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/fork_group.hpp"
#include "dtask/task/when_all.hpp"

DTASK_BEGIN

/// What `when_any` over a range yields: which task ended first, and its result (`std::monostate` for void).
template <class T>
struct any_result {
  std::size_t index;
  detail::tuple_element<T> value;
};

namespace detail {
template <class... T>
class [[nodiscard("dtask: when_any does nothing until it is awaited")]] when_any_op {
 public:
  using result = std::variant<tuple_element<T>...>;
  explicit when_any_op(task<T>&&... tasks) noexcept : tasks_(std::move(tasks)...) {}

  class awaiter {
   public:
    explicit awaiter(std::tuple<task<T>...>& tasks) noexcept
        : tasks_(tasks),
          children_{std::apply([](auto&... t) { return std::array<fork_child, sizeof...(T)>{child_of(t)...}; }, tasks)},
          group_(fork_group::policy::any, children_.data(), sizeof...(T)) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      return transfer_to(group_.start(parent, sizeof...(T)));
    }
    result await_resume() {
      group_.check_started();
      return pick<0>();
    }

   private:
    template <std::size_t I>
    result pick() {
      if constexpr (I + 1 < sizeof...(T)) {
        if (group_.decisive() != static_cast<std::ptrdiff_t>(I)) return pick<I + 1>();
      }
      return result(std::in_place_index<I>, take_result(std::get<I>(tasks_)));
    }
    std::tuple<task<T>...>& tasks_;
    std::array<fork_child, sizeof...(T)> children_;
    fork_group group_;
  };
  awaiter operator co_await() && noexcept { return awaiter(tasks_); }

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
    explicit awaiter(std::vector<task<T>>& tasks)
        : tasks_(tasks),
          children_(make_children(tasks)),
          group_(fork_group::policy::any, children_.data(), children_.size()) {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    transfer await_suspend(std::coroutine_handle<Promise> parent) noexcept {
      return transfer_to(group_.start(parent, children_.size()));
    }
    any_result<T> await_resume() {
      group_.check_started();
      const auto index = static_cast<std::size_t>(group_.decisive());
      return {index, take_result(tasks_[index])};
    }

   private:
    std::vector<task<T>>& tasks_;
    std::vector<fork_child> children_;
    fork_group group_;
  };
  awaiter operator co_await() && { return awaiter(tasks_); }

 private:
  std::vector<task<T>> tasks_;
};
}  // namespace detail

/// Awaits all of them until the first has ended, stops the others, waits for them to end too, and yields the first
/// one's result as a variant whose index says which it was (`std::monostate` for void). Throws where the first one to
/// end threw. Under stop none is started.
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
