// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/runtime/use_task.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// Awaits an Asio coroutine from a task: `int n = co_await as_task(executor, f());` It runs on `executor`; the task
/// resumes on its own scheduler with the result or the exception. Stop cancels it through its cancellation slot
/// (terminal).
template <class Executor, class T, class E>
auto as_task(const Executor& executor, boost::asio::awaitable<T, E> awaitable) {
  return boost::asio::co_spawn(executor, std::move(awaitable), use_task);
}

/// The same on the task's own scheduler. Throws `error(invalid_argument)` where that has no Asio executor (`sync_wait`,
/// a simulation).
template <class T>
task<T> as_task(boost::asio::awaitable<T> awaitable) {
  const environment& env = co_await this_environment();
  auto* const where = dynamic_cast<asio_scheduler*>(env.where);
  if (!where)
    throw error(errc::invalid_argument, "this task's scheduler has no Asio executor", {},
                "name one: as_task(executor, awaitable)");
  co_return co_await as_task(where->executor(), std::move(awaitable));
}

DTASK_END
