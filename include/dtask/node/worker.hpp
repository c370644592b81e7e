// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/worker_exit.hpp"
#include "dtask/base/worker_options.hpp"
#include "dtask/job/registry.hpp"

DTASK_BEGIN

/// A worker of this process: runs jobs for a coordinator, on threads of its own, one per slot.
///
/// It reconnects by itself, and keeps running its jobs meanwhile. Thread safety: `drain`, `stop` and `wait` from any
/// thread, also during and after `retire`, where they do nothing; `retire` and the destructor from one.
class worker {
 public:
  /// Starts it for the coordinator at `tcp://HOST:PORT`. `jobs`: `registry<...>::entries()`, which lives as long as the
  /// program. The views of `options` are copied. Throws `error(invalid_argument)` for what is no such address, and
  /// std::system_error where the system has no thread or descriptor left.
  worker(std::string_view coordinator, std::span<const job_entry> jobs, const worker_options& options = {});
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  /// Ends at once where it has not ended, as `retire`. Jobs that ignore stop, and destructors of job objects that do
  /// not return, keep their threads until the process ends.
  ~worker();

  /// Takes no new jobs, finishes the running ones within `drain_within`, leaves; then `wait` returns.
  void drain();
  /// Stops the running jobs and leaves.
  void stop();
  /// Until it has ended: because it was told to, was refused, found no coordinator in time, or has no slot left.
  worker_exit wait();
  /// Takes everything down; jobs that run are stopped and given 2 s, and the destructors of job objects what is
  /// left of 2.5 s. False: jobs that ignore stop, or destructors that did not return, were left behind, and their
  /// threads still run.
  bool retire();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/worker.ipp"
#endif
