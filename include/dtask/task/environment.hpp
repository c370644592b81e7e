// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <coroutine>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/scheduler.hpp"
#include "dtask/task/stop.hpp"

DTASK_BEGIN

/// What a task inherits from the one that awaits it. Small and copied freely; what it points to outlives the task.
struct environment {
  scheduler* where = nullptr;                ///< where the task runs, and resumes after every wait
  stop_source* stop = &stop_source::none();  ///< ends it early, at its next await
  time_point deadline =
      never;  ///< when `stop` will be requested with the cause `deadline_exceeded`; to hand on to other processes
  std::uint64_t trace_id = 0;  ///< names the operation it belongs to in logs and on the wire

  /// The stop as a token, valid while the source lives.
  stop_token token() const noexcept { return stop_token(*stop); }
  /// Whether the task is to end.
  bool stop_requested() const noexcept { return stop->stop_requested(); }
  /// What is left until the deadline; `no_deadline` without one.
  duration remaining() const noexcept {
    return deadline == never ? no_deadline : dtask::remaining(deadline, where->now());
  }
};

namespace detail {
struct environment_awaiter {
  const environment* at = nullptr;
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) noexcept {
    at = h.promise().env;
    return false;
  }
  const environment& await_resume() const noexcept { return *at; }
};
}  // namespace detail

/// `const environment& env = co_await this_environment();` The reference stays valid until the task ends or moves with
/// `resume_on`. Never suspends and never throws: under stop too.
[[nodiscard]] inline detail::environment_awaiter this_environment() noexcept { return {}; }

DTASK_END
