// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/memory_use.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/coordinator_tables.hpp"
#include "dtask/control/delivery.hpp"
#include "dtask/control/distribution.hpp"
#include "dtask/control/job_lifecycle.hpp"
#include "dtask/control/membership.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/placement.hpp"
#include "dtask/control/random_sequence.hpp"
#include "dtask/control/reception.hpp"
#include "dtask/control/switchboard.hpp"

DTASK_BEGIN
namespace control {

// clang-format off
/// The coordinator, without its clock and sockets. Events and `now` in, actions out; no thread. Driven like
/// `worker_state`.
///
/// A connection:
///
///     opened ──▶ stranger ── hello ──▶ client, worker or observer ── goodbye, silence, broken ──▶ (gone)
///     stranger ── hello_within over, anything but a hello, another version, a wrong cookie ──▶ refused, closed
///
/// A refusal writes one line into the log.
///
/// The lives of a job, a worker's lease and a client session stand at `job_phase`, `lease_state` and `session_record`.
/// What moves jobs:
///
/// - `submit` accepts a job: it waits for the broadcasts that its client made before it, then in its session's lane.
///   Over a limit it is answered `overloaded` and leaves no record.
/// - Placement happens once per batch of events: fair rounds between sessions, then the least loaded worker that
///   registered the same name and schema. A worker holds `prefetch_time` worth of jobs in advance; a job that may not
///   run twice only goes to a free slot. Prefetched jobs are called back when another worker is idle.
/// - A worker that is silent for `suspect_after` gets nothing new; silent for `lost_after`, or away for
///   `reattach_within` after its link broke, it is lost. Its jobs that may run again are placed again: at once if they
///   had not started, else as the next attempt after a pause; those that may not run twice end `worker_lost`.
/// - A job that was running when two workers died runs alone from then on; at the third death it is quarantined.
/// - Each placement has a new fence. `started`, `returned` and `done` with another fence, or from another worker,
///   change nothing.
/// - At its deadline, and when its session ends, a job is finished at once and its worker told to stop; the worker's
///   slot is counted as taken until it reports the end. A cancelled job that runs is finished when its worker reports
///   the end, at most `abandon_after` later.
///
/// Records and every count about them lie in `coordinator_tables`; what is decided about them, in the deciders. This
/// class has both, tells each message to the one that it concerns, and ends the turns.
///
/// Bounds: jobs by `max_jobs` and `queue_bytes`, connections by `max_links`, strangers by `max_strangers`, broadcast
/// values by `broadcast_bytes`, results by `result_bytes` per worker; every wait by the options.
// clang-format on
class coordinator_state {
 public:
  /// `seed` gives the epoch and the keys of sessions: it must differ between starts and be hard to guess.
  coordinator_state(const coordinator_options& options, std::uint64_t seed, time_point now);
  coordinator_state(const coordinator_state&) = delete;
  coordinator_state& operator=(const coordinator_state&) = delete;

  /// A connection was accepted. `peer`: its address for people. `trusted`: it needs no cookie (a pipe inside the
  /// process).
  void opened(link_id link, std::string peer, bool trusted, time_point now);
  void received(link_id link, wire::message&& what, time_point now);
  /// Bytes have come on the link, if only a part of a message: a sign of life, so that a slow path is not taken for a
  /// dead peer.
  void heard(link_id link, time_point now);
  void closed(link_id link, const error& why, time_point now) { membership_.closed(link, why, now); }
  /// Bytes queued on the link and not yet handed to the system: after sends were carried out, and when the link reports
  /// that it has drained.
  void unsent(link_id link, std::size_t bytes, time_point now);
  /// What the process holds: `blocks`, `idle`, `links` and `resident`; for the status.
  void measured(const memory_use& process, time_point) { measured_ = process; }
  /// A launcher saw the process of a worker of this host end; `how`: `killed by signal 9`, with the tail of its stderr
  /// where known. Its jobs are placed again as soon as its link has ended too, which brings what it had still sent, at
  /// the latest after `last_words_within`. While no worker joins, jobs that end for want of one tell it.
  void process_ended(std::uint32_t pid, std::string how, time_point now) {
    membership_.process_ended(pid, std::move(how), now);
  }

  /// Orderly end: the accepted jobs may end within `drain_within`, new ones wait for its end; then `stop`.
  void drain(time_point now);
  /// At once: calls that no worker has begun are given back to their clients (`closed`), goodbye to all, `stopped`.
  /// Peers go on as after its death, but for workers that a drain sends home (`send_home`).
  void stop(time_point now);

  void tick(time_point now);
  time_point next_tick() const noexcept;
  /// Decides what the events since the last call lead to, and swaps the actions into `out`, which is cleared first; its
  /// memory is used again.
  void take_actions(std::vector<coordinator_action>& out, time_point now);

  /// Counters of jobs, queues and bytes, and all workers.
  cluster_status report(time_point now) const;

  /// Checks everything that must hold between events and returns the first violation in words, or an empty string.
  /// O(everything): for simulations and tests.
  std::string check() const { return tables_.check(!stopped_); }

 private:
  bool comes_from(peer& p, peer_role role);
  void on(peer& p, wire::hello&& m, time_point now);
  void on(peer& p, wire::goodbye&& m, time_point now);
  void on(peer& p, wire::ping&& m, time_point now);
  void on(peer& p, wire::pong&& m, time_point now);
  void on(peer& p, wire::chunk&& m, time_point now);
  void on(peer& p, wire::abort_transfer&& m, time_point now);
  void on(peer& p, wire::submit&& m, time_point now);
  void on(peer& p, wire::broadcast&& m, time_point now);
  void on(peer& p, wire::cancel&& m, time_point now);
  void on(peer& p, wire::acknowledge&& m, time_point now);
  void on(peer& p, wire::started&& m, time_point now);
  void on(peer& p, wire::done&& m, time_point now);
  void on(peer& p, wire::returned&& m, time_point now);
  void on(peer& p, wire::fetch&& m, time_point now);
  void on(peer& p, wire::blob_done&& m, time_point now);
  void on(peer& p, wire::slots&& m, time_point now);
  void on(peer& p, wire::usage&& m, time_point now);
  void on(peer& p, wire::drain&& m, time_point now);
  void on(peer& p, wire::status_query&& m, time_point now);
  template <class Other>
  void on(peer& p, Other&&, time_point) {
    membership_.violation(p, "a message that only a coordinator sends");
  }

  void flush(peer& p, time_point now);
  void acknowledge(peer& p);
  void finish_drain(time_point now);

  random_sequence random_;
  std::uint64_t epoch_;
  time_point began_;
  memory_use measured_;
  coordinator_tables tables_;
  switchboard out_{tables_.peers};
  delivery delivery_{tables_, out_};
  job_lifecycle lifecycle_{tables_, out_, delivery_};
  distribution distribution_{tables_, out_, lifecycle_};
  placement placement_{tables_, out_, delivery_, lifecycle_, distribution_};
  reception reception_{tables_, out_, delivery_, lifecycle_, distribution_};
  membership membership_;
  time_point acks_at_ = never;  ///< when acknowledgements are sent even alone
  bool draining_ = false;
  bool stopped_ = false;
  time_point drain_until_ = never;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/coordinator_state.ipp"
#endif
