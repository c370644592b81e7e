// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/broadcast_cache.hpp"
#include "dtask/control/job_table.hpp"
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
  std::uint64_t held = 0;                  ///< cost of those
  std::uint64_t results = 0;               ///< bytes of the values that it has not acknowledged
  bool suspended = false;                  ///< those are too many: its queued jobs wait
  std::uint64_t owed_credit = 0;           ///< cost to give back with the next `credit`
  std::uint64_t turn = 0;                  ///< when it was last served
  std::vector<std::uint64_t> turned_away;  ///< calls that came during the drain; no more than its credit allows
  broadcast_cache broadcasts;
  std::uint64_t receiving = 0;  ///< number of the broadcast that is on its way in, 0: none
};

using session_table = slab<session_record>;

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/session_table.ipp"
#endif
