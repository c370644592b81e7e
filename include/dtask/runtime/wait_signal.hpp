// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/signal_set.hpp>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/runtime/use_task.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// `int number = co_await wait_signal(SIGINT, SIGTERM);`: until one of them reaches the process, which ignores their
/// default action meanwhile. Stop ends the wait. The task runs on an io_thread or a pool: throws
/// `error(invalid_argument)` where its scheduler has no Asio executor.
template <class... Number>
  requires(std::is_same_v<Number, int> && ...)
task<int> wait_signal(Number... numbers) {
  const environment& env = co_await this_environment();
  auto* const where = dynamic_cast<asio_scheduler*>(env.where);
  if (!where)
    throw error(errc::invalid_argument, "this task's scheduler has no Asio executor", {},
                "wait for signals on an io_thread");
  boost::asio::signal_set signals(where->executor());
  (signals.add(numbers), ...);
  co_return co_await signals.async_wait(use_task);
}

DTASK_END
