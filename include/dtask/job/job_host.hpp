// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/job/blob_source.hpp"
#include "dtask/job/shared_objects.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// What a worker offers to one attempt of a job: the values of its client as of its start, those that can be fetched,
/// and the objects that the client's jobs share here.
class job_host {
 public:
  /// The value that the client has broadcast or published under this name.
  virtual blob_source::found find(std::string_view name) const = 0;
  /// Gets it where it does not lie here yet; see `job_context::fetch`.
  virtual task<blob> fetch(std::string name) = 0;
  /// The objects that the jobs of the client share on this worker.
  virtual std::shared_ptr<shared_objects> shared() = 0;
  /// The name of the worker's device.
  virtual std::string_view device() const noexcept = 0;

 protected:
  ~job_host() = default;
};

DTASK_END
