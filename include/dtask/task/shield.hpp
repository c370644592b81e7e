// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/child_environment.hpp"

DTASK_BEGIN
namespace detail {
struct shielded {
  static constexpr const char* name = "shield";
  bool begin(environment& env) noexcept {
    env.stop = &stop_source::none();
    env.deadline = never;
    return true;
  }
  void end(const environment&) noexcept {}
};
struct under_stop {
  static constexpr const char* name = "with_stop";
  explicit under_stop(stop_source& s) noexcept : source(&s) {}
  bool begin(environment& env) noexcept {
    env.stop = source;
    return !source->stop_requested();
  }
  void end(const environment&) noexcept {}
  stop_source* source;
};
}  // namespace detail

/// Awaits `awaitable` out of reach of stop and deadline: for clean-up that has to happen also after a cancel. Bound it
/// with `with_timeout` inside.
template <class Awaitable>
auto shield(Awaitable&& awaitable) {
  return detail::changed_op<detail::task_result<Awaitable>, detail::shielded>(
      detail::as_task(std::forward<Awaitable>(awaitable)));
}

/// Awaits `awaitable` under `source` in place of the environment's stop. To be stopped with its surroundings too,
/// `source` is a child of theirs. It outlives the await.
template <class Awaitable>
auto with_stop(stop_source& source, Awaitable&& awaitable) {
  return detail::changed_op<detail::task_result<Awaitable>, detail::under_stop>(
      detail::as_task(std::forward<Awaitable>(awaitable)), source);
}

DTASK_END
