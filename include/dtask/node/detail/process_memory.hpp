// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/memory_use.hpp"
#include "dtask/control/trim_schedule.hpp"

DTASK_BEGIN
namespace detail {

/// The payload memory of the process: measures it, and gives back to the system what payloads leave behind, for all
/// nodes of the process. After `keep_memory()` it gives nothing back. All members from any thread.
class process_memory {
 public:
  static process_memory& shared() {
    static process_memory all;
    return all;
  }

  /// `blocks`, `idle` and `resident`.
  memory_use measure() const;
  /// A node's thread begins, and ends: after the last one no idle block is kept.
  void node_began() noexcept;
  void node_ended() noexcept;
  /// The threads of nodes call it each `trim_schedule::period`; one of them does what is due.
  void tick(time_point now) noexcept;

 private:
  std::mutex guard_;
  control::trim_schedule schedule_;
  std::size_t nodes_ = 0;
};

}  // namespace detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/process_memory.ipp"
#endif
