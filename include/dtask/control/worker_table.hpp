// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/job_table.hpp"
#include "dtask/control/lease.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/speed.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

class worker_class;

/// More slots than this are not believed.
inline constexpr std::uint32_t max_slots = 1u << 16;

/// What a worker was sent of a session's broadcasts.
struct served_session {
  std::uint64_t session = 0;
  std::uint64_t upto = 0;                  ///< position in the session's order of verified values
  std::vector<std::uint64_t> unconfirmed;  ///< numbers that were sent and not yet reported as held
};

/// The coordinator's record of a worker.
struct worker_record {
  std::uint32_t generation = 0;
  link_id link = 0;  ///< 0: detached
  std::uint64_t key = 0;
  std::string name, host, label;
  std::uint32_t pid = 0;
  std::uint32_t slots = 0;   ///< as it registered
  std::uint32_t usable = 0;  ///< that can take jobs
  std::uint32_t lost = 0;    ///< held by jobs that ignore stop
  bool draining = false;
  bool gone = false;                ///< only results still name it
  std::string process_end;          ///< how its process ended, while what it had sent may still be on the way,
  time_point link_ends_by = never;  ///< which is until then
  std::uint32_t named_by = 0;       ///< finished jobs whose result names it
  std::vector<std::pair<std::uint16_t, std::uint32_t>>
      positions;  ///< type and its position in the worker's hello, sorted
  worker_class* kind = nullptr;
  job_list jobs;                      ///< attempts that it holds, oldest first
  std::uint32_t running = 0;          ///< of those, reported as started
  std::uint32_t reserved_for = none;  ///< a job that must run alone has this worker
  std::uint64_t done = 0;
  lease held;
  speed pace;
  list_node load;
  std::uint16_t level = 0xffff;  ///< in its class's lists; 0xffff: takes nothing now
  wire::row<served_session> serves;
  std::vector<std::uint64_t> ended;  ///< sessions whose end it has not confirmed, in the order of their ends
  std::uint64_t ends_confirmed = 0;  ///< ends that it has confirmed: those before the first of `ended`
  std::uint64_t owed_credit = 0;     ///< result bytes to give back
  std::uint32_t backlog = 0;         ///< jobs beyond its usable slots
  bool idle = false;                 ///< takes jobs and has a free slot
  memory_use memory;                 ///< as it last said

  std::uint32_t position_of(std::uint16_t type) const noexcept;
  served_session* serving(std::uint64_t session) noexcept;
};

using worker_table = slab<worker_record>;
using load_list = slot_list<worker_record, &worker_record::load>;

/// Workers that registered the same types, ordered by load: the least loaded is found in O(1). Loads are counted in
/// sixteenths of the slots; below `busy` a slot is free.
class worker_class {
 public:
  static constexpr std::uint16_t busy = 16;
  static constexpr std::uint16_t top = 255;

  std::vector<std::uint16_t> types;  ///< sorted
  std::uint32_t refs = 0;

  /// The least loaded worker, and its level; `none` where no worker takes jobs.
  std::uint32_t least(std::uint16_t& level) const noexcept;
  /// Puts the worker where its load belongs, or takes it out (`level` 0xffff). It goes to the end of its list, so
  /// equals take turns.
  void place(worker_table& workers, std::uint32_t w, std::uint16_t level) noexcept;

 private:
  std::array<load_list, 256> lists_{};
  std::array<std::uint64_t, 4> map_{};
};

/// The kinds of workers, by the set of types that they registered.
class worker_classes {
 public:
  worker_class* acquire(std::vector<std::uint16_t> types);
  /// True where that was the last worker of its kind: `kind` is gone after `forget`.
  static bool release(worker_class& kind) noexcept { return --kind.refs == 0; }
  void forget(const worker_class& kind);

 private:
  wire::row<std::unique_ptr<worker_class>> kinds_;  // few, and looked through only when a worker comes or its kind ends
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/worker_table.ipp"
#endif
