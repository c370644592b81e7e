// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// The broadcast values of one client session as a worker holds them.
class blob_source {
 public:
  struct found {
    bytes value;
    std::uint64_t version = 0;  ///< 0: there is none
  };
  virtual found find(std::string_view name) const = 0;

 protected:
  ~blob_source() = default;
};

/// What a job object may ask while it is made: once per slot and client session, and anew when a broadcast that it read
/// has a new version.
///
/// Valid during the constructor only; what it returns may be kept. One thread.
class worker_context {
 public:
  worker_context(const blob_source& blobs, std::string_view worker, std::uint32_t slot, std::uint32_t slots) noexcept
      : blobs_(blobs), worker_(worker), slot_(slot), slots_(slots) {}
  worker_context(const worker_context&) = delete;
  worker_context& operator=(const worker_context&) = delete;

  /// The value that the job's client broadcast under this name: shared by all slots, immutable. Throws
  /// `error(not_found)` where it broadcast none before submitting.
  bytes blob(std::string_view name) {
    blob_source::found found = blobs_.find(name);
    read_.emplace_back(std::string(name), found.version);
    if (found.version == 0)
      throw error(errc::not_found, "no broadcast named '" + std::string(name) + "' in this client's session",
                  std::string(worker_), "co_await cluster.broadcast(name, value) before submitting");
    return std::move(found.value);
  }
  /// The slot for which the object is made, from 0, and how many this worker has.
  std::uint32_t slot() const noexcept { return slot_; }
  std::uint32_t slots() const noexcept { return slots_; }
  /// The name of this worker.
  std::string_view worker() const noexcept { return worker_; }

  /// The names that the constructor asked for, with the versions that it was given.
  std::vector<std::pair<std::string, std::uint64_t>> take_read() && { return std::move(read_); }

 private:
  const blob_source& blobs_;
  std::string_view worker_;
  std::uint32_t slot_;
  std::uint32_t slots_;
  std::vector<std::pair<std::string, std::uint64_t>> read_;
};

DTASK_END
