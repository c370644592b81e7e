// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/control/job_table.hpp"
#include "dtask/control/type_table.hpp"

DTASK_BEGIN
namespace control {

/// The jobs that wait for a worker, in fair rounds between clients: each session's jobs of a type form a lane, the
/// lanes of a type take turns, and between types the session that was served longest ago comes first, of one session
/// the lane that was. A client with a million jobs delays another client's first job by one job. O(1) per job, O(types
/// with jobs) per choice. A lane can be suspended: its jobs stay queued and get no turn.
class ready_queue {
 public:
  ready_queue(job_table& jobs, type_table& types) noexcept : jobs_(jobs), types_(types) {}

  void push_back(lane& into, std::uint32_t job);
  /// For a job that had its turn before: a retry, or one that a worker gave back.
  void push_front(lane& into, std::uint32_t job);
  void erase(lane& from, std::uint32_t job);
  /// The lane's jobs get no turn until `resume`.
  void suspend(lane& which);
  void resume(lane& which);
  /// After a job of the type's first lane was taken: the next session's turn.
  void rotate(std::uint16_t type) noexcept {
    if (types_[type].ring != nullptr) types_[type].ring = types_[type].ring->next;
  }
  /// Types with jobs that may have a turn.
  const std::vector<std::uint16_t>& active() const noexcept { return active_; }
  /// Queued jobs, those of suspended lanes among them.
  std::uint64_t size() const noexcept { return size_; }

 private:
  void added(lane& into);
  void unlink(lane& from);
  void link(lane& into);
  void deactivate(std::uint16_t type);

  job_table& jobs_;
  type_table& types_;
  std::vector<std::uint16_t> active_;
  std::uint64_t size_ = 0;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/ready_queue.ipp"
#endif
