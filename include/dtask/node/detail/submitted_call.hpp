// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>

#include "dtask/base/config.hpp"
#include "dtask/base/job_state.hpp"
#include "dtask/node/detail/call_reply.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

class client_port;
class single_call;

/// A call that was handed over and not awaited, without its types; `job_handle` gives them back.
class submitted_call {
 public:
  submitted_call(std::shared_ptr<client_port> client, std::shared_ptr<single_call> call) noexcept;
  submitted_call(submitted_call&&) noexcept;
  submitted_call& operator=(submitted_call&& other) noexcept;
  /// Cancels it.
  ~submitted_call();

  /// Once, and of one that was not moved from: else the task throws.
  task<call_reply> end();
  void cancel();
  /// `finished` of one that was moved from.
  job_state state() const noexcept;

 private:
  std::shared_ptr<client_port> client_;
  std::shared_ptr<single_call> call_;
};

}  // namespace detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/submitted_call.ipp"
#endif
