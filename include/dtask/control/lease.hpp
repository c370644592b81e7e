// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/options.hpp"

DTASK_BEGIN
namespace control {

// clang-format off
/// What the coordinator believes about a worker, from when it was last heard. All leases of a worker's jobs live and
/// die together.
///
///     up ── silent for suspect_after ──▶ suspect ── silent for lost_after ──▶ lost
///     up, suspect ── link broken ──▶ detached ── reattach_within over, or silent for lost_after ──▶ lost
///     suspect ── heard ──▶ up;  detached ── hello with id and key ──▶ up
// clang-format on
enum class lease_state : std::uint8_t { up, suspect, detached, lost };

constexpr std::string_view to_string(lease_state s) noexcept {
  switch (s) {
    case lease_state::up:
      return "up";
    case lease_state::suspect:
      return "suspect";
    case lease_state::detached:
      return "detached";
    case lease_state::lost:
      return "lost";
  }
  return "unknown";
}

struct lease {
  lease_state state = lease_state::up;
  time_point heard{};
  time_point detached_at{};

  void hear(time_point now) noexcept {
    heard = now;
    if (state == lease_state::suspect) state = lease_state::up;
  }
  void detach(time_point now) noexcept {
    state = lease_state::detached;
    detached_at = now;
  }
  void attach(time_point now) noexcept {
    state = lease_state::up;
    heard = now;
  }
  /// When the state changes next if nothing is heard.
  time_point due(const coordinator_options& o) const noexcept {
    const time_point lost = deadline_after(heard, o.lost_after);
    if (state == lease_state::detached) {
      const time_point away = deadline_after(detached_at, o.reattach_within);
      return away < lost ? away : lost;
    }
    return state == lease_state::up ? deadline_after(heard, o.suspect_after) : lost;
  }
  /// Moves on with the time; true where the state changed.
  bool advance(time_point now, const coordinator_options& o) noexcept {
    const lease_state before = state;
    if (state == lease_state::up && now >= deadline_after(heard, o.suspect_after)) state = lease_state::suspect;
    if (state != lease_state::up && now >= due(o)) state = lease_state::lost;
    return state != before;
  }
};

}  // namespace control
DTASK_END
