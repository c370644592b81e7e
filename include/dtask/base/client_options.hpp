// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstdint>
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/limits.hpp"

DTASK_BEGIN

/// What a client is told at its start.
struct client_options {
  duration connect_within = std::chrono::seconds(10);  ///< for the first connection
  /// After a break, calls wait this long for a coordinator, then end `coordinator_lost`.
  duration coordinator_wait = std::chrono::seconds(10);
  duration hello_within = std::chrono::seconds(5);      ///< an answer to its hello must come in this time
  duration redial_min = std::chrono::milliseconds(50);  ///< pause before the second dial; doubles
  duration redial_max = std::chrono::seconds(1);        ///< where the doubling ends
  /// At its deadline plus this a call ends here even if the coordinator is silent.
  duration deadline_slack = std::chrono::milliseconds(100);
  /// A cancelled call ends here after this time even if its worker has not confirmed.
  duration cancel_within = std::chrono::seconds(10);
  duration close_within = std::chrono::seconds(10);  ///< `close` waits this long for the ends of cancelled calls
  duration status_within = std::chrono::seconds(5);  ///< an answer to `cluster::status` must come in this time
  /// Cost of calls that wait to be sent, for the first time or again; above it there is no room for more.
  std::uint64_t unsent_bytes = std::uint64_t{64} << 20;
  std::uint32_t max_calls = 4u << 20;  ///< calls held at once; above it there is no room for more
  dtask::limits limits = {};           ///< what it accepts from the coordinator
};
static_assert(std::is_trivially_destructible_v<client_options>);

DTASK_END
