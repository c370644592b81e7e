#pragma once
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

DTASK_BEGIN
namespace control {

/// The coordinator's record of a client session.
///
///     (hello) ──▶ attached ── link broken ──▶ detached ── hello with id, key and epoch ──▶ attached
///     detached ── session_grace over ──▶ ended;  attached ── goodbye ──▶ ended: its open jobs are cancelled, its
///     results and broadcasts forgotten
struct session_record {
  std::uint32_t generation = 0;
  link_id link = 0;  ///< 0: detached
  std::uint64_t key = 0;
  std::string label;
  time_point detached_at{};
  std::vector<std::uint16_t> types;    ///< by position in the client's hello
  std::unique_ptr<lane[]> lanes;       ///< by position
  std::vector<std::uint32_t> by_call;  ///< slot of a call → slot of its job
  job_list blocked;                    ///< jobs that wait for a broadcast
  std::uint32_t jobs = 0;              ///< records of this session, finished ones among them
  std::uint64_t held = 0;              ///< cost of those
  std::uint64_t owed_credit = 0;       ///< cost to give back with the next `credit`
  std::uint64_t turn = 0;              ///< when it was last served
  broadcast_cache broadcasts;
  std::uint64_t receiving = 0;  ///< number of the broadcast that is on its way in, 0: none
};

using session_table = slab<session_record>;

}  // namespace control
DTASK_END
