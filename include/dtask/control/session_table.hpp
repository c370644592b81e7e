// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/broadcast_cache.hpp"
#include "dtask/control/job_table.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/ready_queue.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/type_table.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

/// From a call's position to its job, in pages that are made when a call comes to lie in them: a peer that names absurd
/// positions is not believed in memory.
class call_index {
 public:
  static constexpr std::uint32_t page = 1024;
  /// The job at this position, or `none`.
  std::uint32_t at(std::uint32_t position) const noexcept;
  void set(std::uint32_t position, std::uint32_t job);
  /// All jobs, in the order of their positions.
  std::vector<std::uint32_t> jobs() const;

 private:
  wire::row<std::unique_ptr<std::uint32_t[]>> pages_;
};

// clang-format off
/// The coordinator's record of a client session.
///
///     (hello) ──▶ attached ── link broken ──▶ detached ── hello with id, key and epoch ──▶ attached
///     detached ── session_grace over ──▶ ended
///     attached ── goodbye ──▶ ended
///
/// At its end its open jobs are cancelled, its results and broadcasts forgotten.
// clang-format on
struct session_record {
  std::uint32_t generation = 0;
  link_id link = 0;  ///< 0: detached
  std::uint64_t key = 0;
  std::string label;
  time_point detached_at{};
  std::vector<std::uint16_t> types;        ///< by position in the client's hello
  std::unique_ptr<lane[]> lanes;           ///< by position
  call_index by_call;                      ///< position of a call → its job
  job_list blocked;                        ///< jobs that wait for a broadcast
  std::uint32_t jobs = 0;                  ///< records of this session, finished ones among them
  std::uint64_t held_bytes = 0;            ///< cost of those
  std::uint64_t results = 0;               ///< bytes of the values that it has not acknowledged
  bool suspended = false;                  ///< those are too many: its queued jobs wait
  std::uint64_t owed_credit = 0;           ///< cost to give back with the next `credit`
  std::uint64_t turn = 0;                  ///< when it was last served
  std::vector<std::uint64_t> turned_away;  ///< calls that came during the drain; no more than session_bytes allow
  broadcast_cache broadcasts;
  std::uint64_t receiving = 0;  ///< number of the broadcast that is on its way in, 0: none
};

/// The coordinator's client sessions: their calls, lanes, results and broadcasts, and every sum over them.
///
/// Invariants, which `check` looks for: a session finds each of its jobs by its call; arguments, results and broadcasts
/// are counted once, per session and over all; the lanes of a session with `session_bytes` of results that it has not
/// taken have no turn, and of the others exactly those with jobs have one. Sends nothing: links are the peers' matter.
class session_table : public slab<session_record> {
 public:
  /// All references have to outlive the table. `first` as for `slab`.
  session_table(const coordinator_options& options, job_table& jobs, ready_queue& ready,
                std::uint32_t first = 0) noexcept
      : slab(first), options_(options), jobs_(jobs), ready_(ready) {}

  /// A session with a lane for each of its types, which are acquired for it.
  std::uint32_t insert(std::string label, std::vector<std::uint16_t> types);
  void attach(std::uint32_t s, link_id link) noexcept;
  void detach(std::uint32_t s, time_point now) noexcept;
  /// It is over: its bytes are counted no more and its calls forgotten. Returns the jobs, which still name it; once
  /// none does, `erase` follows.
  std::vector<std::uint32_t> close(std::uint32_t s);

  /// The session's turn to have a job placed has come, and this lane's among its lanes: they are the last in the round
  /// from now on.
  void take_turn(lane& served) noexcept { (*this)[served.session].turn = served.turn = ++turn_; }
  /// Credit to give back with the next `credit`; `pay`: that goes now.
  void owe(std::uint32_t s, std::uint64_t bytes) noexcept { (*this)[s].owed_credit += bytes; }
  std::uint64_t pay(std::uint32_t s) noexcept { return std::exchange((*this)[s].owed_credit, 0); }

  /// The job of this call, or `none`.
  std::uint32_t job_of(std::uint32_t s, std::uint64_t call) const noexcept;
  /// The job, whose call and cost are set, is one of the session's.
  void add(std::uint32_t s, std::uint32_t j);
  /// The job is no longer its session's, to which its cost is owed as credit; the value that it held counts no more.
  void remove(std::uint32_t j);
  /// The value that the job holds waits for its client.
  void hold_result(std::uint32_t j);

  /// The job waits for a broadcast, or does so no more.
  void block(std::uint32_t j) noexcept;
  void unblock(std::uint32_t j) noexcept;
  /// The job waits in its lane, at its front or back, or does so no more.
  void queue(std::uint32_t j, bool front);
  void leave_queue(std::uint32_t j);

  /// Bytes of a broadcast that begins to arrive, or of one that comes to nothing.
  void reserve_broadcast(std::uint64_t bytes) noexcept { broadcast_bytes_ += bytes; }
  void free_broadcast(std::uint64_t bytes) noexcept { broadcast_bytes_ -= bytes; }
  /// A verified value, its bytes reserved, or the mark of one that was withdrawn; what it replaces is freed.
  void hold_broadcast(std::uint32_t s, cached_value&& value);

  /// Cost of all jobs of sessions.
  std::uint64_t held_bytes() const noexcept { return held_bytes_; }
  /// Values that no client has acknowledged.
  std::uint64_t result_bytes() const noexcept { return result_bytes_; }
  /// Broadcasts that are held or arriving.
  std::uint64_t broadcast_bytes() const noexcept { return broadcast_bytes_; }

  /// The first violation in words, or an empty string. Between events. O(sessions and jobs). `arriving`: bytes of the
  /// broadcasts on their way in; nothing where nobody keeps books of them any more.
  std::string check(std::optional<std::uint64_t> arriving) const;

 private:
  void limit_results(std::uint32_t s);

  const coordinator_options& options_;
  job_table& jobs_;
  ready_queue& ready_;
  std::uint64_t held_bytes_ = 0;
  std::uint64_t result_bytes_ = 0;
  std::uint64_t broadcast_bytes_ = 0;
  std::uint64_t turn_ = 0;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/session_table.ipp"
#endif
