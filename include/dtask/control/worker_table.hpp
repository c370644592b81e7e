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
#include "dtask/control/options.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/speed.hpp"
#include "dtask/control/type_table.hpp"
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
  control::lease lease;
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
  void place(slab<worker_record>& workers, std::uint32_t w, std::uint16_t level) noexcept;

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

/// The coordinator's workers: their leases, the attempts that each holds, which of them take a type of jobs, and every
/// sum over them.
///
/// Invariants, which `check` looks for: an attempt is in the list of the worker that its job names, and in no other; a
/// worker holds at most one job per slot of those that may not run twice; one with a job that must run alone holds no
/// other; one that is gone holds nothing, and its record stays while a result names it. Sends nothing: links are the
/// peers' matter.
class worker_table : public slab<worker_record> {
 public:
  /// All references have to outlive the table. `first` as for `slab`.
  worker_table(const coordinator_options& options, job_table& jobs, type_table& types, std::uint32_t first = 0) noexcept
      : slab(first), options_(options), jobs_(jobs), types_(types) {}
  void erase(std::uint32_t) = delete;

  /// A worker that says hello: named, and without slots, types or link so far.
  std::uint32_t insert(const std::string& host, const std::string& name);
  /// The types that it registered, each acquired for it, and their positions in its hello, sorted.
  void enrol(std::uint32_t w, std::vector<std::pair<std::uint16_t, std::uint32_t>> positions);
  /// From now on it counts among the workers of this type, which is one of its own.
  void offer(std::uint32_t w, std::uint16_t type);
  /// No more jobs for it; it is not counted among the workers of its types any more. False where that was so before.
  bool stop_offering(std::uint32_t w);
  /// Its types and broadcasts are let go, and its record, unless results name it. It holds no attempt any more.
  void retire(std::uint32_t w);
  /// A finished job's result names the worker, or does not any more.
  void keep_name(std::uint32_t w) noexcept { ++(*this)[w].named_by; }
  void drop_name(std::uint32_t w);

  /// Result bytes to give back with the next `credit`; `pay`: that goes now.
  void owe(std::uint32_t w, std::uint64_t bytes) noexcept { (*this)[w].owed_credit += bytes; }
  std::uint64_t pay(std::uint32_t w) noexcept { return std::exchange((*this)[w].owed_credit, 0); }
  /// How the last process of a launcher ended where no worker has joined since; empty: none has, or one joined.
  const std::string& process_end() const noexcept { return process_end_; }
  void note_process_end(std::string how) { process_end_ = std::move(how); }

  /// Its link; `reload` is due once it takes jobs.
  void attach(std::uint32_t w, link_id link, time_point now);
  void detach(std::uint32_t w, time_point now);
  /// A sign of life; true where it had been suspect.
  bool hear(std::uint32_t w, time_point now) {
    const bool back = (*this)[w].lease.state == lease_state::suspect;
    (*this)[w].lease.hear(now);
    if (back) reload(w);
    return back;
  }
  /// True where silence has changed the state of its lease.
  bool advance(std::uint32_t w, time_point now);
  void set_slots(std::uint32_t w, std::uint32_t usable, std::uint32_t lost);

  /// A new attempt of the job, which no worker holds.
  void take(std::uint32_t w, std::uint32_t j, time_point now);
  /// Its attempt runs.
  void start_attempt(std::uint32_t j);
  /// Takes the attempt off its worker, if there is one. The job still names it.
  void end_attempt(std::uint32_t j);
  /// The worker gets nothing but this job, which must run alone.
  void reserve(std::uint32_t w, std::uint32_t j);
  void unreserve(std::uint32_t j);

  /// Brings a worker's place in its class, and the sums over all workers, up to date. After every change of its jobs,
  /// slots or lease.
  void reload(std::uint32_t w);

  /// Workers that take jobs and have a free slot.
  std::uint32_t idle() const noexcept { return idle_; }
  /// Jobs beyond the usable slots of the workers that hold them.
  std::uint64_t backlog() const noexcept { return backlog_; }
  worker_status describe(std::uint32_t w, time_point now) const;

  /// The first violation in words, or an empty string. Between events. O(workers and attempts).
  std::string check() const;

 private:
  /// How many jobs a worker may hold: one per slot, and `prefetch_time` worth of work in advance.
  std::uint32_t window(const worker_record& r) const noexcept;

  const coordinator_options& options_;
  job_table& jobs_;
  type_table& types_;
  worker_classes classes_;
  std::uint64_t number_ = 0;
  std::uint32_t idle_ = 0;
  std::uint64_t backlog_ = 0;
  std::string process_end_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/worker_table.ipp"
#endif
