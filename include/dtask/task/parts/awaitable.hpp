// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

template <class A>
decltype(auto) get_awaiter(A&& awaitable) {
  if constexpr (requires { static_cast<A&&>(awaitable).operator co_await(); })
    return static_cast<A&&>(awaitable).operator co_await();
  else if constexpr (requires { operator co_await(static_cast<A&&>(awaitable)); })
    return operator co_await(static_cast<A&&>(awaitable));
  else
    return static_cast<A&&>(awaitable);
}
/// What `co_await std::move(a)` yields.
template <class A>
using await_result = decltype(get_awaiter(std::declval<A>()).await_resume());

template <class A>
task<std::remove_cvref_t<await_result<A>>> await_it(A awaitable) {
  [[maybe_unused]] int local = 0;
  co_return co_await std::move(awaitable);
}

/// A task as it is, by reference; any other awaitable inside one.
template <class A>
decltype(auto) as_task(A&& awaitable) {
  static_assert(!std::is_lvalue_reference_v<A>, "dtask: tasks are handed over as rvalues: std::move(t)");
  if constexpr (is_task<std::remove_cvref_t<A>>)
    return static_cast<A&&>(awaitable);
  else
    return await_it(static_cast<A&&>(awaitable));
}
template <class A>
using task_result = typename std::remove_cvref_t<decltype(as_task(std::declval<A>()))>::value_type;

}  // namespace detail
DTASK_END
