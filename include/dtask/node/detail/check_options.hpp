// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/coordinator_options.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN
namespace detail {

/// What no coordinator can work with: `invalid_argument`, which names the options. Otherwise no error.
inline error check_options(const coordinator_options& o) {
  // A worker that is heard from once per heartbeat would be suspect, or lost, between two of them.
  if (o.heartbeat > duration::zero() && o.heartbeat < o.suspect_after && o.suspect_after <= o.lost_after) return {};
  const auto seconds = [](duration d) { return number_text(std::chrono::duration<double>(d).count()) + " s"; };
  return error(errc::invalid_argument,
               "these times of a lease cannot be kept: heartbeat " + seconds(o.heartbeat) + ", suspect after " +
                   seconds(o.suspect_after) + ", lost after " + seconds(o.lost_after),
               {},
               "choose --heartbeat (heartbeat of coordinator_options) shorter than --suspect-after (suspect_after), "
               "and that not longer than --lost-after (lost_after)");
}

}  // namespace detail
DTASK_END
