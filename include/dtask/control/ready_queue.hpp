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
/// lanes of a type take turns, and between types the session that was served longest ago comes first. A client with a
/// million jobs delays another client's first job by one job. O(1) per job, O(types with jobs) per choice. A lane can
/// be suspended: its jobs stay queued and get no turn.
class ready_queue {
 public:
  ready_queue(job_table& jobs, type_table& types) noexcept : jobs_(jobs), types_(types) {}

  void push_back(lane& into, std::uint32_t job) {
    into.jobs.push_back(jobs_, job);
    added(into);
  }
  /// For a job that had its turn before: a retry, or one that a worker gave back.
  void push_front(lane& into, std::uint32_t job) {
    into.jobs.push_front(jobs_, job);
    added(into);
  }
  void erase(lane& from, std::uint32_t job) {
    from.jobs.erase(jobs_, job);
    --types_[from.type].queued;
    --size_;
    if (from.jobs.empty()) unlink(from);
  }
  /// The lane's jobs get no turn until `resume`.
  void suspend(lane& which) {
    which.suspended = true;
    unlink(which);
  }
  void resume(lane& which) {
    which.suspended = false;
    if (!which.jobs.empty()) link(which);
  }
  /// After a job of the type's first lane was taken: the next session's turn.
  void rotate(std::uint16_t type) noexcept {
    if (types_[type].ring != nullptr) types_[type].ring = types_[type].ring->next;
  }
  /// Types with jobs that may have a turn.
  const std::vector<std::uint16_t>& active() const noexcept { return active_; }
  /// Queued jobs, those of suspended lanes among them.
  std::uint64_t size() const noexcept { return size_; }

 private:
  void added(lane& into) {
    ++types_[into.type].queued;
    ++size_;
    if (!into.suspended) link(into);
  }
  void unlink(lane& from) {
    if (from.next == nullptr) return;
    type_record& type = types_[from.type];
    if (from.next == &from) {
      type.ring = nullptr;
      deactivate(from.type);
    } else {
      from.prev->next = from.next;
      from.next->prev = from.prev;
      if (type.ring == &from) type.ring = from.next;
    }
    from.next = from.prev = nullptr;
  }
  void link(lane& into) {
    if (into.next != nullptr) return;
    type_record& type = types_[into.type];
    if (type.ring == nullptr) {
      type.ring = into.next = into.prev = &into;
      type.active_at = static_cast<std::uint32_t>(active_.size());
      active_.push_back(into.type);
      return;
    }
    // Before the lane whose turn it is: at the end of the round.
    into.next = type.ring;
    into.prev = type.ring->prev;
    into.prev->next = &into;
    into.next->prev = &into;
  }
  void deactivate(std::uint16_t type) {
    const std::uint32_t at = types_[type].active_at;
    active_[at] = active_.back();
    types_[active_[at]].active_at = at;
    active_.pop_back();
    types_[type].active_at = none;
  }

  job_table& jobs_;
  type_table& types_;
  std::vector<std::uint16_t> active_;
  std::uint64_t size_ = 0;
};

}  // namespace control
DTASK_END
