// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE void lease::hear(time_point now) noexcept {
  heard = now;
  if (state == lease_state::suspect) state = lease_state::up;
}
DTASK_INLINE void lease::detach(time_point now) noexcept {
  state = lease_state::detached;
  detached_at = now;
}
DTASK_INLINE void lease::attach(time_point now) noexcept {
  state = lease_state::up;
  heard = now;
}
DTASK_INLINE time_point lease::due(const coordinator_options& o) const noexcept {
  const time_point lost = deadline_after(heard, o.lost_after);
  if (state == lease_state::detached) {
    const time_point away = deadline_after(detached_at, o.reattach_within);
    return away < lost ? away : lost;
  }
  return state == lease_state::up ? deadline_after(heard, o.suspect_after) : lost;
}
DTASK_INLINE bool lease::advance(time_point now, const coordinator_options& o) noexcept {
  const lease_state before = state;
  if (state == lease_state::up && now >= deadline_after(heard, o.suspect_after)) state = lease_state::suspect;
  if (state != lease_state::up && now >= due(o)) state = lease_state::lost;
  return state != before;
}

}  // namespace control
DTASK_END
