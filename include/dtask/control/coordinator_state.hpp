// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/broadcast_cache.hpp"
#include "dtask/control/job_table.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/peer_table.hpp"
#include "dtask/control/random_sequence.hpp"
#include "dtask/control/ready_queue.hpp"
#include "dtask/control/session_table.hpp"
#include "dtask/control/type_table.hpp"
#include "dtask/control/worker_table.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

// clang-format off
/// Decides for the coordinator. Events and `now` in, actions out; no clock, no socket, no thread. Driven like
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
/// Records and every count about them lie in `peer_table`, `job_table`, `worker_table` and `session_table`; here is
/// what is decided about them.
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
  void closed(link_id link, const error& why, time_point now);
  /// Bytes queued on the link and not yet handed to the system: after sends were carried out, and when the link reports
  /// that it has drained.
  void unsent(link_id link, std::size_t bytes, time_point now);
  /// What the process holds: `blocks`, `idle`, `links` and `resident`; for the status.
  void measured(const memory_use& process, time_point) { measured_ = process; }
  /// A launcher saw the process of a worker of this host end; `how`: `killed by signal 9`, with the tail of its stderr
  /// where known. Its jobs are placed again as soon as its link has ended too, which brings what it had still sent, at
  /// the latest after `last_words_within`. While no worker joins, jobs that end for want of one tell it.
  void process_ended(std::uint32_t pid, std::string how, time_point now);

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
  std::uint64_t epoch() const noexcept { return epoch_; }

  /// Checks everything that must hold between events and returns the first violation in words, or an empty string.
  /// O(everything): for simulations and tests.
  std::string check() const;

 private:
  /// Marks the keys of published values in a worker's send queue: no number of a job has this bit.
  static constexpr std::uint64_t fetched_value = std::uint64_t{1} << 63;

  // impl/coordinator_links.ipp
  peer* worker_peer(std::uint32_t w) noexcept { return peers_.find(workers_[w].link); }
  void heard(peer& p, time_point now);
  void emit(peer& to, wire::message&& what);
  void pump(peer& p);
  void flush(peer& p, time_point now);
  void acknowledge(peer& p);
  void say(log_level level, std::string_view event, std::string text);
  void refuse(peer& p, errc code, std::string text);
  void drop_link(peer& p, const error& why, bool at_once);
  void violation(peer& p, std::string_view what);
  void scan(time_point now);
  void finish_drain(time_point now);
  void give_back_calls(peer& p);

  void on(peer& p, wire::hello&& m, time_point now);
  void on(peer& p, wire::goodbye&& m, time_point now);
  void on(peer& p, wire::ping&& m, time_point now);
  void on(peer& p, wire::pong&& m, time_point now);
  void on(peer& p, wire::chunk&& m, time_point now);
  void on(peer& p, wire::abort_transfer&& m, time_point now);
  void on(peer& p, wire::submit&& m, time_point now);
  void on(peer& p, wire::cancel&& m, time_point now);
  void on(peer& p, wire::acknowledge&& m, time_point now);
  void on(peer& p, wire::broadcast&& m, time_point now);
  void on(peer& p, wire::returned&& m, time_point now);
  void on(peer& p, wire::started&& m, time_point now);
  void on(peer& p, wire::done&& m, time_point now);
  void on(peer& p, wire::slots&& m, time_point now);
  void on(peer& p, wire::blob_done&& m, time_point now);
  void on(peer& p, wire::drain&& m, time_point now);
  void on(peer& p, wire::status_query&& m, time_point now);
  void on(peer& p, wire::usage&& m, time_point now);
  void on(peer& p, wire::fetch&& m, time_point now);
  template <class Other>
  void on(peer& p, Other&&, time_point) {
    violation(p, "a message that only a coordinator sends");
  }
  void welcome_client(peer& p, wire::hello&& m, time_point now);
  void welcome_worker(peer& p, wire::hello&& m, time_point now);
  void send_welcome(peer& p, const wire::hello& m, std::uint64_t id, std::uint64_t key, bool resumed,
                    std::uint64_t credit, std::uint64_t window);

  // impl/coordinator_jobs.ipp
  void enqueue(std::uint32_t j, bool front, time_point now);
  void leave(std::uint32_t j);
  void expired(std::uint32_t j, time_point now);
  void finish(std::uint32_t j, wire::failure why, time_point now);
  void succeed(std::uint32_t j, time_point now);
  void settled(std::uint32_t j, time_point now);
  void send_result(std::uint32_t j);
  void retry(std::uint32_t j, wire::failure why, time_point now);
  void withdraw(std::uint32_t j, time_point now);
  void forget_arguments(std::uint32_t j, time_point now);
  void drop_answer(std::uint32_t j);
  bool drop_arriving(const incoming& what);
  void drop_value(std::uint32_t j);
  void release_from_session(std::uint32_t j);
  void reclaim(std::uint32_t j);
  void report_state(std::uint32_t j, wire::job_state state);
  std::string place_of(std::uint32_t j) const;
  std::string nobody_connected() const;

  // impl/coordinator_placement.ipp
  void place(time_point now);
  void place_alone(time_point now);
  void dispatch(std::uint32_t j, std::uint32_t w, time_point now);
  std::uint32_t choose(std::uint16_t t, effect effect_class) const noexcept;
  std::uint32_t choose_for_alone(std::uint16_t t) const noexcept;
  void call_back(time_point now);
  void recall(std::uint32_t j);
  void mismatch(std::uint32_t j, std::uint32_t rival, time_point now);
  void type_without_workers(std::uint16_t t, time_point now);
  std::vector<std::uint32_t> waiting_jobs(std::uint16_t t) const;

  // impl/coordinator_workers.ipp
  std::uint32_t attempt(peer& p, std::uint64_t job, std::uint32_t fence) const noexcept;
  void drop_run(peer& p, std::uint32_t j);
  void count_started(std::uint32_t j);
  void answered(std::uint32_t j, wire::failure&& why, time_point now);
  void given_back(std::uint32_t j, time_point now);
  void lose(std::uint32_t w, const std::string& how, bool died, time_point now);
  void lost_attempt(std::uint32_t j, const std::string& label, const std::string& how, bool died, time_point now);
  void stop_taking(std::uint32_t w, time_point now);
  void reattach(std::uint32_t w, const wire::hello& m, time_point now);

  // impl/coordinator_sessions.ipp
  void resume(std::uint32_t s, time_point now);
  void detach_session(std::uint32_t s, peer& p, time_point now);
  void end_session(std::uint32_t s, std::string_view why, time_point now);

  // impl/coordinator_broadcasts.ipp
  void serve(std::uint32_t w, std::uint32_t s);
  void tell(peer& p, served_session& served, const cached_value& v);
  void verify(std::uint32_t s, cached_value&& value, time_point now);
  void withdraw(std::uint32_t s, wire::broadcast&& m, time_point now);
  void hold(std::uint32_t s, cached_value&& value, time_point now);
  void broadcast_failed(std::uint32_t s, std::uint64_t number, errc code, std::string text, std::string remedy,
                        time_point now);
  void drop_marks(std::uint32_t s);
  void unblock(std::uint32_t s, time_point now);

  coordinator_options options_;
  random_sequence random_;
  std::uint64_t epoch_;
  time_point began_;
  peer_table peers_;
  job_table jobs_;
  type_table types_;
  ready_queue ready_{jobs_, types_};
  worker_table workers_;
  session_table sessions_;

  std::uint64_t turn_ = 0;
  std::string process_end_;  ///< how the last process of a launcher ended, where no worker has joined since
  memory_use measured_;

  time_point next_scan_;
  time_point recall_at_ = never;
  time_point acks_at_ = never;  ///< when acknowledgements are sent even alone
  bool draining_ = false;
  bool stopped_ = false;
  time_point drain_until_ = never;
  std::vector<coordinator_action> actions_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/coordinator_broadcasts.ipp"
#include "dtask/control/impl/coordinator_check.ipp"
#include "dtask/control/impl/coordinator_jobs.ipp"
#include "dtask/control/impl/coordinator_links.ipp"
#include "dtask/control/impl/coordinator_placement.ipp"
#include "dtask/control/impl/coordinator_sessions.ipp"
#include "dtask/control/impl/coordinator_turns.ipp"
#include "dtask/control/impl/coordinator_workers.ipp"
#endif
