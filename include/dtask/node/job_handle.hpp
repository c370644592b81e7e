// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/node/detail/exchange.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// Where a submitted job is.
using job_state = wire::job_state;

/// A job that was submitted and not awaited. Destroying the handle cancels the job.
///
/// Move-only. Thread safety: `cancel` and `state` from any thread; `result` or `outcome` is awaited once.
template <class R>
class job_handle {
 public:
  job_handle(std::shared_ptr<detail::client_port> client, std::shared_ptr<detail::single_call> call) noexcept
      : client_(std::move(client)), call_(std::move(call)) {}
  job_handle(job_handle&&) noexcept = default;
  job_handle& operator=(job_handle&& other) noexcept {
    if (this != &other) {
      cancel();
      client_ = std::move(other.client_);
      call_ = std::move(other.call_);
    }
    return *this;
  }
  ~job_handle() { cancel(); }

  /// The value, or a thrown `remote_error`. Under stop the job is cancelled, its end awaited, and `error(cancelled)`
  /// thrown.
  task<R> result() { return detail::value_of<R>(detail::await_end(client_, call_)); }
  /// The same without throwing what became of the job.
  task<dtask::outcome<R>> outcome() { return detail::outcome_of<R>(detail::await_end(client_, call_)); }
  /// The result is not wanted any more: stops the job where it runs. Its outcome is `cancelled`, or the value that was
  /// already there.
  void cancel() {
    if (call_ && !call_->done.is_set()) client_->cancel(call_);
  }
  /// Where the job is, as last reported by the coordinator.
  job_state state() const noexcept { return call_->state.load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<detail::client_port> client_;
  std::shared_ptr<detail::single_call> call_;
};

DTASK_END
