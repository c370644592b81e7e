// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/job/blob_source.hpp"
#include "dtask/job/job_host.hpp"
#include "dtask/job/shared_objects.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

namespace detail {

template <class T>
struct unwrap_task : std::type_identity<T> {
  static constexpr bool awaits = false;
};
template <class T>
  requires is_task<T>
struct unwrap_task<T> : std::type_identity<typename T::value_type> {
  static constexpr bool awaits = true;
};

// A template, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<blob> nothing_to_fetch(std::string name) {
  throw error(errc::not_found, "no value named '" + name + "': this job runs outside of a worker");
  co_return blob();
}

}  // namespace detail

/// What a running job may ask about this attempt. Valid while the job runs; used from its own task only.
class job_context {
 public:
  /// `host`: the worker in which it runs. Without one, in tests of a job, there are no values, and `shared` makes an
  /// object each time.
  job_context(stop_token stop, time_point deadline, std::uint32_t attempt, std::uint32_t slot, std::string_view worker,
              job_host* host = nullptr) noexcept
      : stop_(stop), deadline_(deadline), attempt_(attempt), slot_(slot), worker_(worker), host_(host) {}

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
  /// What this worker shall compute on: "cpu", "cuda" or "cuda:N", as its starter said (see `read_device_name`). Valid
  /// while the job runs.
  std::string_view device() const noexcept { return host_ ? host_->device() : std::string_view("cpu"); }

  /// The value that the job's client broadcast under this name, and its version, as of this attempt's start: at least
  /// the one before the job was submitted. What the client broadcasts meanwhile is for later jobs. Throws
  /// `error(not_found)` where there was none; a published one is fetched.
  dtask::blob blob(std::string_view name) const {
    return detail::held_blob(host_ ? host_->find(name) : blob_source::found(), name, worker_);
  }
  /// The newest value that the client has published (or broadcast) under this name, at least the one before the job was
  /// submitted: at once where it lies on this worker, else it is sent, once for all jobs that want it, and stays here
  /// while there is room. `auto shard = co_await ctx.fetch("shard-7");` Throws `error`: `not_found` where there is
  /// none, or the client withdrew it; `too_large` where the worker may not hold it; `cancelled` or `deadline_exceeded`
  /// under the job's stop.
  task<dtask::blob> fetch(std::string name) const {
    return host_ ? host_->fetch(std::move(name)) : detail::nothing_to_fetch<>(std::move(name));
  }
  /// The object of this name that all jobs of the client share on this worker, in all slots; where there is none yet,
  /// `make()` gives it, a `T` or a `std::shared_ptr<T>`. Jobs that want it meanwhile wait. It lives until the client's
  /// session ends, and as long as somebody has it. A `make` that returns a task is awaited, and so is what this
  /// returns: `auto data = co_await ctx.shared<dataset>("data", load);`, else `auto table = ctx.shared<lut>("lut",
  /// build);`. Throws what `make` throws, to the one that made it: the next that waits tries again;
  /// `error(invalid_argument)` where the name has an object of another type.
  template <class T, class Make>
  auto shared(std::string name, Make make) const {
    if constexpr (detail::unwrap_task<std::invoke_result_t<Make&>>::awaits)
      return shared_objects::await<T>(objects(), std::move(name), std::move(make));
    else
      return objects()->template obtain<T>(name, std::move(make));
  }
  /// Lets the shared object of this name go, for all jobs of the client on this worker: whoever asks next makes a new
  /// one, and those that have it keep it. No effect where there is none, or while it is being made.
  void drop_shared(std::string_view name) const { objects()->drop(name); }

 private:
  std::shared_ptr<shared_objects> objects() const {
    return host_ ? host_->shared() : std::make_shared<shared_objects>();
  }

  stop_token stop_;
  time_point deadline_;
  std::uint32_t attempt_;
  std::uint32_t slot_;
  std::string_view worker_;
  job_host* host_;
};

DTASK_END
