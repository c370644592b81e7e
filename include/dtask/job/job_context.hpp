// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/task/stop.hpp"

DTASK_BEGIN

/// What a running job may ask about this attempt. Valid while the job runs; used from its own task only.
class job_context {
 public:
  job_context(stop_token stop, time_point deadline, std::uint32_t attempt, std::uint32_t slot,
              std::string_view worker) noexcept
      : stop_(stop), deadline_(deadline), attempt_(attempt), slot_(slot), worker_(worker) {}

  /// Requested when the caller cancels, the deadline passes, the client is lost or the worker ends. A job that awaits
  /// ends by itself then; one that computes asks `stop().check()` now and then: a job that ignores stop for 5 s is
  /// abandoned, and its slot is lost.
  stop_token stop() const noexcept { return stop_; }
  /// When the caller wants the result at the latest, on this process's steady clock; `never` where there is no
  /// deadline.
  time_point deadline() const noexcept { return deadline_; }
  /// 1 for the first execution of this job, counted over all workers.
  std::uint32_t attempt() const noexcept { return attempt_; }
  /// The slot of this worker in which it runs, from 0.
  std::uint32_t slot() const noexcept { return slot_; }
  /// The name of this worker.
  std::string_view worker() const noexcept { return worker_; }

 private:
  stop_token stop_;
  time_point deadline_;
  std::uint32_t attempt_;
  std::uint32_t slot_;
  std::string_view worker_;
};

DTASK_END
