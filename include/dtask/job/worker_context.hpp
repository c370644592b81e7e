// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/job/blob_source.hpp"
#include "dtask/job/shared_objects.hpp"

DTASK_BEGIN

/// What a job object may ask while it is made: once per slot and client session, and anew when a broadcast that it read
/// has a new version.
///
/// Valid during the constructor only; what it returns may be kept. One thread.
class worker_context {
 public:
  /// What is given outlives this. `slot`: for which the object is made, from 0, of `slots`. `device`: see `device()`.
  worker_context(const blob_source& blobs, shared_objects& shared, std::string_view worker, std::uint32_t slot,
                 std::uint32_t slots, std::string_view device = "cpu") noexcept
      : blobs_(blobs), shared_(shared), worker_(worker), device_(device), slot_(slot), slots_(slots) {}
  worker_context(const worker_context&) = delete;
  worker_context& operator=(const worker_context&) = delete;

  /// The value that the job's client broadcast under this name, with its version: shared by all slots, immutable.
  /// Throws `error(not_found)` where it broadcast none before submitting; a published one is for the job to fetch.
  dtask::blob blob(std::string_view name) {
    blob_source::found found = blobs_.find(name);
    read_.emplace_back(std::string(name), found.version);
    return detail::held_blob(std::move(found), name, worker_);
  }
  /// The object of this name that all jobs of the client share on this worker; where there is none yet, `make()` gives
  /// it, a `T` or a `std::shared_ptr<T>`, on this thread. See `shared_objects::obtain`.
  template <class T, class Make>
  std::shared_ptr<T> shared(std::string_view name, Make&& make) {
    return shared_.obtain<T>(name, std::forward<Make>(make));
  }
  /// The slot for which the object is made, from 0.
  std::uint32_t slot() const noexcept { return slot_; }
  /// How many slots this worker has.
  std::uint32_t slots() const noexcept { return slots_; }
  /// The name of this worker.
  std::string_view worker() const noexcept { return worker_; }
  /// What this worker shall compute on: "cpu", "cuda" or "cuda:N", as its starter said (see `read_device_name`).
  std::string_view device() const noexcept { return device_; }

  /// The names that the constructor asked for, with the versions that it was given.
  std::vector<std::pair<std::string, std::uint64_t>> take_read() && { return std::move(read_); }

 private:
  const blob_source& blobs_;
  shared_objects& shared_;
  std::string_view worker_;
  std::string_view device_;
  std::uint32_t slot_;
  std::uint32_t slots_;
  std::vector<std::pair<std::string, std::uint64_t>> read_;
};

DTASK_END
