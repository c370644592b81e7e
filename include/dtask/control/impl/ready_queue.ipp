// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE void ready_queue::push_back(lane& into, std::uint32_t job) {
  into.jobs.push_back(jobs_, job);
  added(into);
}
DTASK_INLINE void ready_queue::push_front(lane& into, std::uint32_t job) {
  into.jobs.push_front(jobs_, job);
  added(into);
}
DTASK_INLINE void ready_queue::erase(lane& from, std::uint32_t job) {
  from.jobs.erase(jobs_, job);
  --types_[from.type].queued;
  --size_;
  if (from.jobs.empty()) unlink(from);
}
DTASK_INLINE void ready_queue::suspend(lane& which) {
  which.suspended = true;
  unlink(which);
}
DTASK_INLINE void ready_queue::resume(lane& which) {
  which.suspended = false;
  if (!which.jobs.empty()) link(which);
}
DTASK_INLINE void ready_queue::added(lane& into) {
  ++types_[into.type].queued;
  ++size_;
  if (!into.suspended) link(into);
}
DTASK_INLINE void ready_queue::unlink(lane& from) {
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
DTASK_INLINE void ready_queue::link(lane& into) {
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
DTASK_INLINE void ready_queue::deactivate(std::uint16_t type) {
  const std::uint32_t at = types_[type].active_at;
  active_[at] = active_.back();
  types_[active_[at]].active_at = at;
  active_.pop_back();
  types_[type].active_at = none;
}

}  // namespace control
DTASK_END
