// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/limits.hpp"

DTASK_BEGIN

/// What a worker is told at its start.
struct worker_options {
  std::uint32_t slots = 0;  ///< jobs at once; 0: one per core
  /// In results, in the status and in the coordinator's log. Empty: the program's name with the process id, and with a
  /// number where the process has more than one.
  std::string_view name = {};
  /// What its jobs compute on, for those that ask (`job_context::device`): "cpu", "cuda:N", or "cuda" for one by the
  /// worker's rank on its machine. Empty: what DTASK_DEVICE says, else the CPU.
  std::string_view device = {};
  std::uint64_t cookie = 0;  ///< what the coordinator asks for; 0: nothing
  /// How long its thread looks for events before it sleeps, where nobody else wants its core: shortens round trips,
  /// costs a core; at most 50 us is sensible.
  duration polling = duration::zero();

  /// A job that ignores stop for this long is abandoned, its slot is lost.
  duration abandon_after = std::chrono::seconds(5);
  duration unreachable_after = std::chrono::seconds(60);  ///< without a coordinator for this long the worker ends
  /// The same for the first time; zero: as `unreachable_after`.
  duration first_reach_within = duration::zero();
  duration hello_within = std::chrono::seconds(5);      ///< an answer to its hello must come in this time
  duration redial_min = std::chrono::milliseconds(50);  ///< pause before the second dial; doubles
  duration redial_max = std::chrono::seconds(1);        ///< where the doubling ends
  /// An orderly end waits this long for running jobs, then stops them.
  duration drain_within = std::chrono::seconds(30);
  /// While results of so many bytes have not been taken by their clients, no further job starts here.
  std::uint64_t result_bytes = std::uint64_t{256} << 20;
  std::uint64_t broadcast_bytes = std::uint64_t{4} << 30;  ///< broadcast values held here
  dtask::limits limits = {};                               ///< what it accepts from the coordinator
};
static_assert(std::is_trivially_destructible_v<worker_options>);

DTASK_END
