// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/task/detail/child_environment.hpp"
#include "dtask/task/detail/tuple_element.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/task/parts/awaitable.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/task.hpp"
#include "dtask/task/when_all.hpp"

DTASK_BEGIN

/// What `first_of` over a range yields: which task ended first, and its value (`std::monostate` for void).
template <class T>
struct first_result {
  std::size_t index;               ///< its position in the range, from 0
  detail::tuple_element<T> value;  ///< what it returned
};

namespace detail {

/// What the tasks of a first_of share with who waits for the first. Who needs it last frees it.
template <class Result>
struct first_end {
  first_end(scope& s, const environment& waiting) noexcept : env(s.env()) {
    stop.set_parent(s.stop());
    env.stop = &stop;
    env.trace_id = waiting.trace_id;
    if (waiting.deadline < env.deadline) env.deadline = waiting.deadline;
  }
  one_shot<Result> first;
  stop_source stop;
  environment env;
};

/// One task's part in it: says how the task ended, also where that never began.
template <class Result>
class first_report {
 public:
  explicit first_report(std::shared_ptr<first_end<Result>> to) noexcept : to_(std::move(to)) {}
  first_report(first_report&&) noexcept = default;
  first_report& operator=(first_report&&) = delete;
  ~first_report() {
    if (to_ && !made_) fail(stopped_exception(to_->env));
  }
  const environment& env() const noexcept { return to_->env; }
  void set(Result value) {
    to_->first.set(std::move(value));
    made_ = true;
    to_->stop.request_stop();
  }
  void fail(std::exception_ptr e) noexcept {
    to_->first.fail(std::move(e));
    made_ = true;
    to_->stop.request_stop();
  }

 private:
  std::shared_ptr<first_end<Result>> to_;
  bool made_ = false;
};

/// A task of a first_of runs in its scope, under the deadline and the name of who waits.
struct in_first_of {
  static constexpr const char* name = "first_of";
  explicit in_first_of(const environment& e) noexcept : env(&e) {}
  bool begin(environment& changed) noexcept {
    changed = *env;
    return !env->stop->stop_requested();
  }
  void end(const environment&) noexcept {}
  const environment* env;
};

template <class Result, std::size_t I>
struct put_variant {
  template <class... V>
  Result operator()(V&&... value) const {
    return Result(std::in_place_index<I>, std::forward<V>(value)...);
  }
};
template <class Result>
struct put_indexed {
  std::size_t index;
  template <class... V>
  Result operator()(V&&... value) const {
    return Result{index, decltype(Result::value)(std::forward<V>(value)...)};
  }
};

template <class Result, class Put, class T>
task<void> report_end(first_report<Result> report, Put put, task<T> t) {
  try {
    auto inside = changed_op<T, in_first_of>(std::move(t), report.env());
    if constexpr (std::is_void_v<T>) {
      co_await std::move(inside);
      report.set(put());
    } else {
      report.set(put(co_await std::move(inside)));
    }
  } catch (...) {
    report.fail(std::current_exception());
  }
}

/// Stops those who are still there.
struct stop_at_end {
  explicit stop_at_end(stop_source& s) noexcept : stop(s) {}
  stop_at_end(const stop_at_end&) = delete;
  stop_at_end& operator=(const stop_at_end&) = delete;
  ~stop_at_end() { stop.request_stop(); }
  stop_source& stop;
};

template <class Result, std::size_t... I, class... T>
task<Result> first_of_tasks(std::index_sequence<I...>, scope& s, task<T>... tasks) {
  const environment& env = co_await this_environment();
  const auto shared = std::make_shared<first_end<Result>>(s, env);
  const stop_at_end others(shared->stop);
  (scope_access::adopt(s, report_end(first_report<Result>(shared), put_variant<Result, I>(), std::move(tasks))), ...);
  co_return co_await shared->first.wait();
}
template <class T>
task<first_result<T>> first_of_range(scope& s, std::vector<task<T>> tasks) {
  using result = first_result<T>;
  const environment& env = co_await this_environment();
  const auto shared = std::make_shared<first_end<result>>(s, env);
  const stop_at_end others(shared->stop);
  for (std::size_t i = 0; i < tasks.size(); ++i)
    scope_access::adopt(s, report_end(first_report<result>(shared), put_indexed<result>{i}, std::move(tasks[i])));
  co_return co_await shared->first.wait();
}

}  // namespace detail

/// Awaits several tasks as children of `s` until the first of them has ended, and does not wait for the others: they
/// are stopped, end in the scope, and their values and exceptions are dropped.
///
///     auto first = co_await dtask::first_of(s, fetch(a), fetch(b));  // a std::variant whose index says which
///
/// Yields the first one's value (`std::monostate` for void) or throws what it threw, which is no failure of the scope.
/// They run on the scope's scheduler. Stopped by the scope, and by the stop or deadline of who awaits: that ends the
/// wait at once. Throws `error(closed)` where the scope is closed. To wait for the others too and see how each ended:
/// `when_any`.
template <class... Awaitable>
  requires(sizeof...(Awaitable) > 0 && !(sizeof...(Awaitable) == 1 && (detail::task_range<Awaitable> && ...)))
auto first_of(scope& s, Awaitable&&... awaitables) {
  using result = std::variant<detail::tuple_element<detail::task_result<Awaitable>>...>;
  return detail::first_of_tasks<result>(std::index_sequence_for<Awaitable...>(), s,
                                        detail::as_task(std::forward<Awaitable>(awaitables))...);
}

/// The same for a range of tasks of one type. Throws `error(invalid_argument)` for an empty one.
template <detail::task_range Range>
auto first_of(scope& s, Range&& tasks) {
  auto collected = detail::collect_tasks(std::forward<Range>(tasks));
  if (collected.empty()) throw error(errc::invalid_argument, "first_of over an empty range would never end");
  return detail::first_of_range(s, std::move(collected));
}

DTASK_END
