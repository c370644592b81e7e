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

  void hear(time_point now) noexcept;
  void detach(time_point now) noexcept;
  void attach(time_point now) noexcept;
  /// When the state changes next if nothing is heard.
  time_point due(const coordinator_options& o) const noexcept;
  /// Moves on with the time; true where the state changed.
  bool advance(time_point now, const coordinator_options& o) noexcept;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/lease.ipp"
#endif
