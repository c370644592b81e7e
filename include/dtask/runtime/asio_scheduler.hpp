// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/any_io_executor.hpp>

#include "dtask/base/config.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN

/// A scheduler whose items run in an Asio execution context.
class asio_scheduler : public scheduler {
 public:
  /// Runs functions where the tasks run.
  virtual boost::asio::any_io_executor executor() noexcept = 0;

 protected:
  using scheduler::scheduler;
  ~asio_scheduler() = default;
};

DTASK_END
