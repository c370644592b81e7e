// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/job_state.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/node/detail/decode_reply.hpp"
#include "dtask/node/detail/submitted_call.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// A job that was submitted and not awaited. Destroying the handle cancels the job.
///
/// Move-only. The end is given once: a second `result` or `outcome` that is awaited throws `error(invalid_argument)`,
/// also where the first was stopped and the end so dropped. Of a handle that was moved from they throw `error(closed)`,
/// `cancel` does nothing, and `state` is `finished`. Thread safety: `cancel` and `state` from any thread.
template <class R>
class job_handle {
 public:
  /// @cond internal
  explicit job_handle(detail::submitted_call call) noexcept : call_(std::move(call)) {}
  /// @endcond

  /// The value, or a thrown `remote_error`. Under stop the job is cancelled, its end awaited, and `error(cancelled)`
  /// thrown.
  task<R> result() { return detail::value_of<R>(call_.end()); }
  /// The same without throwing what became of the job.
  task<dtask::outcome<R>> outcome() { return detail::outcome_of<R>(call_.end()); }
  /// The result is not wanted any more: the job does not begin, or is stopped where it runs. What had ended here before
  /// stays. Else the outcome is `cancelled`, at most `client_options::cancel_within` later, or a value that was on its
  /// way, also that of a job that ignored the stop; a job that fails meanwhile is `cancelled` too, and its message says
  /// with what it ended.
  void cancel() { call_.cancel(); }
  /// Where the job is, as last reported by the coordinator.
  job_state state() const noexcept { return call_.state(); }

 private:
  detail::submitted_call call_;
};

DTASK_END
