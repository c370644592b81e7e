// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE uplink::uplink(duration redial_min, duration redial_max, duration hello_within,
                            std::uint64_t seed) noexcept
    : pause_(redial_min, redial_max),
      short_lived_(redial_min, redial_max),
      random_(seed),
      hello_within_(hello_within) {}
DTASK_INLINE void uplink::start(time_point now) noexcept {
  away_since_ = now;
  phase_ = phase::pausing;
  redial_at_ = now + pause_.next(random_);
}
DTASK_INLINE void uplink::connected(link_id link, time_point now) noexcept {
  link_ = link;
  phase_ = phase::greeting;
  heard_ = now;
}
DTASK_INLINE void uplink::welcomed(const wire::welcome& w, time_point now) noexcept {
  phase_ = phase::ready;
  was_welcomed_ = true;
  heard_ = welcomed_ = now;
  // A peer that names no times, or absurd ones, does not stop the heart.
  heartbeat_ = std::clamp<duration>(w.heartbeat, std::chrono::milliseconds(1), std::chrono::minutes(1));
  lost_after_ = std::max<duration>(w.lost_after, 2 * heartbeat_);
  next_ping_ = now + heartbeat_;
  pause_.reset();
}
DTASK_INLINE void uplink::broken(time_point now) noexcept {
  if (phase_ == phase::ended) return;
  const bool was_ready = phase_ == phase::ready;
  if (was_ready) {
    away_since_ = now;
    if (now >= welcomed_ + heartbeat_) short_lived_.reset();
  }
  link_ = 0;
  phase_ = phase::pausing;
  redial_at_ = now + (was_ready ? short_lived_ : pause_).next(random_);
}
DTASK_INLINE bool uplink::refused_for_good(errc code) noexcept {
  if (code == errc::refused || code == errc::version_mismatch || code == errc::schema_mismatch) return true;
  if (code != errc::protocol_error) return false;
  return std::exchange(broke_protocol_, true) || !was_welcomed_;
}
DTASK_INLINE void uplink::end() noexcept {
  phase_ = phase::ended;
  link_ = 0;
}
DTASK_INLINE uplink::need uplink::due(time_point now) noexcept {
  switch (phase_) {
    case phase::pausing:
      if (now < redial_at_) return need::nothing;
      phase_ = phase::dialing;
      return need::dial;
    case phase::greeting:
      return now >= heard_ + hello_within_ ? need::give_up_link : need::nothing;
    case phase::ready:
      if (now >= heard_ + lost_after_) return need::give_up_link;
      if (now < next_ping_) return need::nothing;
      next_ping_ = now + heartbeat_;
      broke_protocol_ = false;  // this link has lasted
      return need::ping;
    case phase::idle:
    case phase::dialing:
    case phase::ended:
      break;
  }
  return need::nothing;
}
DTASK_INLINE time_point uplink::next() const noexcept {
  switch (phase_) {
    case phase::pausing:
      return redial_at_;
    case phase::greeting:
      return heard_ + hello_within_;
    case phase::ready:
      return std::min(next_ping_, heard_ + lost_after_);
    case phase::idle:
    case phase::dialing:
    case phase::ended:
      break;
  }
  return never;
}

}  // namespace control
DTASK_END
