// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/control/held_payload.hpp"
#include "dtask/control/retry.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/timer_wheel.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

// clang-format off
/// Where an accepted job is.
///
///     accepted ──▶ blocked ── its broadcasts are held ──▶ queued ── a worker has room ──▶ placed
///     placed ── done ──▶ finished ── acknowledged ──▶ (gone)
///     placed ── given back, or its run never arrived ──▶ queued (front)
///     placed ── worker lost, or an error that may be retried ──▶ pausing
///     pausing ── back-off over ──▶ queued, or alone after two deaths
///     alone ── a worker without any other job ──▶ placed
///     any but finished ── deadline, cancelled, session over, no worker, quarantined ──▶ finished
///
/// `finished` is the terminal state and entered once. A finished job whose attempt still runs on a worker (deadline,
/// lost session) keeps its record, and the worker's slot, until the worker reports the end.
// clang-format on
enum class job_phase : std::uint8_t { accepted, blocked, queued, alone, pausing, placed, finished };

/// What few jobs need.
struct job_rarely {
  wire::failure why;               ///< finished: how
  std::shared_ptr<stream> answer;  ///< placed: a large result on its way
  std::string history;             ///< how its workers died
};

/// The coordinator's record of a job. About 170 bytes; there may be millions.
struct job {
  std::uint32_t generation = 0;
  job_phase phase = job_phase::accepted;
  effect effect_class = effect::at_most_once;
  std::uint8_t deaths = 0;  ///< workers that died while it was running
  std::uint8_t losses = 0;  ///< workers that died while they held it, running or not
  bool watch = false;
  bool started = false;       ///< placed: the worker reported so
  bool cancelled = false;     ///< its client does not want it
  bool stop_sent = false;     ///< the worker was told
  bool recalled = false;      ///< the worker was asked to give it back
  bool attempt_live = false;  ///< a worker holds it
  bool by_itself = false;     ///< runs alone from now on
  bool accepted = false;      ///< finished: its client has the result, or is gone
  bool answered = false;      ///< finished: the value is held, else `rarely->why`
  std::uint16_t type = 0;
  std::uint16_t position = 0;  ///< of the type in the client's hello: its lane
  std::uint32_t session = none;
  std::uint32_t worker = none;
  std::uint32_t fence = 0;
  std::uint32_t attempts = 0;  ///< executions that were started or lost
  std::uint32_t broadcasts = 0;
  std::uint32_t no_worker_ms = 0;
  packed_retry retry;
  list_node node;  ///< in the lane, the worker's list, the blocked list or the list of those that run alone
  timer_node timer;
  std::uint64_t call = 0;
  std::uint64_t cost = 0;
  time_point deadline = never;
  time_point wake = never;  ///< pausing: end of the pause; queued without a worker: when it gives up
  held_payload held;        ///< the arguments; once finished, the value
  std::unique_ptr<job_rarely> rarely;

  job_rarely& rare() {
    if (!rarely) rarely = std::make_unique<job_rarely>();
    return *rarely;
  }
};
static_assert(sizeof(job) <= 200, "a queued job's record stays small");

using job_table = slab<job>;
using job_list = slot_list<job, &job::node>;

}  // namespace control
DTASK_END
