// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/backoff.hpp"
#include "dtask/control/random_sequence.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

// clang-format off
/// The way of a worker or client to its coordinator.
///
///     idle ── start ──▶ dialing ── connected ──▶ greeting ── welcome ──▶ ready
///     dialing, greeting, ready ── failed, broken, refused, silent for too long ──▶ pausing
///     pausing ── back-off over ──▶ dialing
///     any ── end ──▶ ended
///
/// The first dial after the end of a link comes at once, unless the links before it did not last either: a peer whose
/// every link dies right after its welcome pauses longer and longer, as one that is not welcomed at all does.
// clang-format on
class uplink {
 public:
  enum class phase : std::uint8_t { idle, dialing, greeting, ready, pausing, ended };
  /// What is due.
  enum class need : std::uint8_t { nothing, dial, ping, give_up_link };

  uplink(duration redial_min, duration redial_max, duration hello_within, std::uint64_t seed) noexcept;

  phase now() const noexcept { return phase_; }
  bool ready() const noexcept { return phase_ == phase::ready; }
  link_id link() const noexcept { return link_; }
  /// Whether this link is the one in use: what comes from an older one is ignored.
  bool is(link_id link) const noexcept { return link != 0 && link == link_; }
  /// Since when there has been no welcome.
  time_point away_since() const noexcept { return away_since_; }
  /// Without a welcome until then, what the peer had is lost to a coordinator that lives: others have it.
  time_point given_up_at() const noexcept { return deadline_after(away_since_, lost_after_); }

  void start(time_point now) noexcept;
  void connected(link_id link, time_point now) noexcept;
  void welcomed(const wire::welcome& w, time_point now) noexcept;
  void heard(time_point now) noexcept { heard_ = now; }
  /// The link is gone, or could not be made.
  void broken(time_point now) noexcept;
  /// Whether a coordinator that answers this way will never take the peer: no use in dialing again. A peer that has
  /// been welcomed before takes `protocol_error` as final only if it comes again before a link has lasted: the first
  /// may be the fault of what happened on that one link.
  bool refused_for_good(errc code) noexcept;
  void end() noexcept;

  need due(time_point now) noexcept;
  time_point next() const noexcept;

 private:
  backoff pause_;        ///< between dials that came to nothing
  backoff short_lived_;  ///< between links that ended within a heartbeat of their welcome
  random_sequence random_;
  duration hello_within_;
  phase phase_ = phase::idle;
  link_id link_ = 0;
  bool was_welcomed_ = false;
  bool broke_protocol_ = false;  ///< a link was refused that way, and none has lasted since
  time_point away_since_{};
  time_point redial_at_{};
  time_point heard_{};
  time_point welcomed_{};
  time_point next_ping_{};
  duration heartbeat_ = std::chrono::seconds(1);
  duration lost_after_ = std::chrono::seconds(5);
};

/// Whether the end of a link before its welcome says that what listens there is no coordinator of this version, so that
/// dialling again is in vain.
constexpr bool is_no_coordinator(errc code) noexcept {
  return code == errc::version_mismatch || code == errc::protocol_error || code == errc::too_large;
}

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/uplink.ipp"
#endif
