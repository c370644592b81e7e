// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/control/held_payload.hpp"
#include "dtask/control/retry.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/slab_timers.hpp"
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
  job_phase phase = job_phase::accepted;  ///< written by the table only, as `recalled` and `attempt_live` are
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

using job_list = slot_list<job, &job::node>;

/// The coordinator's jobs, and every count about them: how many are in each phase, how many a worker holds, how many
/// were called back, how they ended; with their timers and the list of those that must run alone.
///
/// Invariants, which `check` looks for: the counts are those of the records; a worker holds a job exactly while it is
/// placed, or finished with its attempt still running; an open job with a deadline has a timer, a finished one none and
/// either a value or a cause. Knows no worker, session or link: records name them by slot.
class job_table : public slab<job> {
 public:
  /// `first` as for `slab`; `origin`: where the time of the timers begins.
  explicit job_table(std::uint32_t first = 0, time_point origin = {}) noexcept : slab(first), timers_(*this, origin) {}

  /// A fresh record in the phase `accepted`.
  std::uint32_t insert();
  void erase(std::uint32_t j);
  void enter(std::uint32_t j, job_phase phase) noexcept;

  /// To the end of the list of those that must run alone, and off it.
  void queue_alone(std::uint32_t j) noexcept;
  void leave_alone(std::uint32_t j) noexcept;

  /// Sets the timer to the earlier of deadline and `wake`.
  void arm(std::uint32_t j) noexcept { timers_.arm(j, std::min((*this)[j].deadline, (*this)[j].wake)); }
  /// Calls `fire(slot)` for the jobs whose time has come.
  template <class Fire>
  void advance(time_point now, Fire&& fire) {
    timers_.advance(now, std::forward<Fire>(fire));
  }
  time_point next_time() const noexcept { return timers_.next_time(); }

  /// A worker gets the job, under a new fence.
  void begin_attempt(std::uint32_t j, std::uint32_t worker) noexcept;
  /// The worker reported that it runs.
  void start_attempt(std::uint32_t j) noexcept;
  /// No worker holds it any more; it still names the last one.
  void end_attempt(std::uint32_t j) noexcept;
  void recall(std::uint32_t j) noexcept;
  /// The question whether the worker gives it back is answered, or void.
  void end_recall(std::uint32_t j) noexcept;
  /// It is to be placed again, and names no worker until then.
  void place_again(std::uint32_t j) noexcept;

  /// How the job ends; `settle` follows.
  void fail(std::uint32_t j, wire::failure&& why);
  void succeed(std::uint32_t j) noexcept;
  /// Terminal: finished, without a timer.
  void settle(std::uint32_t j) noexcept;

  /// Accepted and not finished.
  std::uint64_t open() const noexcept { return size() - count(job_phase::finished); }
  std::uint64_t count(job_phase phase) const noexcept { return in_[static_cast<std::size_t>(phase)]; }
  const job_list& alone() const noexcept { return alone_; }
  /// Jobs that workers hold.
  std::uint64_t leases() const noexcept { return leases_; }
  /// Asked for and not answered.
  std::uint32_t recalls() const noexcept { return recalls_; }
  std::uint64_t succeeded() const noexcept { return succeeded_; }
  std::uint64_t failed() const noexcept { return failed_; }
  std::uint64_t cancelled() const noexcept { return cancelled_; }
  std::uint64_t placed_again() const noexcept { return placed_again_; }

  /// For the texts of `check`.
  std::string name(std::uint32_t j) const;
  /// The first violation in words, or an empty string. Between events. O(jobs).
  std::string check() const;

 private:
  slab_timers<job, &job::timer> timers_;
  job_list alone_;
  std::array<std::uint64_t, 7> in_{};  ///< by phase
  std::uint64_t leases_ = 0;
  std::uint32_t recalls_ = 0;
  std::uint64_t succeeded_ = 0, failed_ = 0, cancelled_ = 0, placed_again_ = 0;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/job_table.ipp"
#endif
