// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/send_queue.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/uplink.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

// clang-format off
/// Decides for a worker. Events and `now` in, actions out; no clock, no socket, no thread.
///
/// The driver: after any number of events it swaps the actions out with `take_actions`, carries them out in order,
/// tells `unsent` for every link on which it sent, and repeats until there are none; then it calls `tick` at
/// `next_tick()` at the latest.
///
/// An attempt here (the way to the coordinator stands at `uplink`):
///
///     run ──▶ arriving ── arguments whole ──▶ waiting ── its session's blobs are held, a slot is free ──▶ running
///     running ── job_finished ──▶ answered ── acknowledged ──▶ (gone)
///     running ── told to stop, or deadline; no end within abandon_after ──▶ answered with job_abandoned
///     arriving, waiting ── stop, recall, transfer aborted ──▶ returned, (gone)
///
/// The blobs are those that were announced before the run. The slot of an abandoned attempt is lost until its
/// `job_finished` comes after all.
///
/// - `started` stands before `run_job`, so a job that kills the process has been reported. Where there is no welcomed
///   link it follows in the hello, or right after the welcome: before that only the hello is sent.
/// - A broken link: what runs goes on, results wait; arrived jobs that wait stay, others are forgotten and the
///   coordinator, which hears in the next hello what is left, places them again. A coordinator that does not know this
///   worker (it restarted, or gave it up): everything is stopped and forgotten; slots come back as the jobs end.
/// - Draining: prefetched jobs go back, running ones may finish within `drain_within`, then are stopped; when all
///   results are acknowledged: goodbye, `exit`.
// clang-format on
class worker_state {
 public:
  /// `seed` only spreads the pauses between dials.
  worker_state(identity who, const worker_options& options, std::uint64_t seed);
  worker_state(const worker_state&) = delete;
  worker_state& operator=(const worker_state&) = delete;

  /// Begins: a dial follows.
  void start(time_point now);
  void connected(link_id link, time_point now);
  void dial_failed(const error& why, time_point now);
  void received(link_id link, wire::message&& what, time_point now);
  /// Bytes have come on the link, if only a part of a message: a sign of life, so that a slow path is not taken for a
  /// dead peer.
  void heard(link_id link, time_point now);
  void closed(link_id link, const error& why, time_point now);
  /// Bytes queued on the link and not yet handed to the system: after sends were carried out, and when the link reports
  /// that it has drained.
  void unsent(link_id link, std::size_t bytes, time_point now);
  /// What the process holds: `blocks`, `idle`, `links` and `resident`. The coordinator hears of it.
  void measured(const memory_use& process, time_point now);

  /// The end of an attempt that `run_job` started. `why.code` ok: the value is there. `why.place` is filled in here.
  void job_finished(std::uint64_t job, std::uint32_t fence, wire::failure why, payload value, time_point now);

  /// A job of this session wants the newest value that was broadcast or published under this name. Exactly one
  /// `fetched` with the same request is the answer, after however long, unless `forget_fetch` came first. `request` is
  /// the driver's, not used before.
  void fetch(std::uint64_t request, std::uint64_t session, std::string name, time_point now);
  /// The job waits no more.
  void forget_fetch(std::uint64_t request);

  /// Orderly end: no new jobs, running ones may finish within `drain_within`; prefetched ones go back.
  void drain(time_point now);
  /// At once: stops what runs, says goodbye, exits.
  void stop(time_point now);

  void tick(time_point now);
  time_point next_tick() const noexcept;
  /// Decides what the events since the last call lead to, and swaps the actions into `out`, which is cleared first; its
  /// memory is used again.
  void take_actions(std::vector<worker_action>& out, time_point now);

  /// Client sessions of which something is kept here, and whose end has not been told.
  std::vector<std::uint64_t> open_sessions() const;
  bool exited() const noexcept { return exited_; }
  /// Checks everything that must hold between events; the first violation in words, or an empty string. For simulations
  /// and tests.
  std::string check() const;

 private:
  struct attempt_id {
    std::uint64_t job = 0;
    std::uint32_t fence = 0;
    friend bool operator==(const attempt_id&, const attempt_id&) = default;
  };
  struct attempt_hash {
    std::size_t operator()(const attempt_id& a) const noexcept {
      return static_cast<std::size_t>((a.job ^ (std::uint64_t{a.fence} << 40)) * 0x9e3779b97f4a7c15ULL >> 7);
    }
  };
  enum class phase : std::uint8_t { arriving, waiting, running, answered };
  struct attempt {
    phase now = phase::arriving;
    std::uint32_t type = 0;
    std::uint32_t number = 1;  ///< of the attempt
    std::uint64_t session = 0;
    effect effect_class = effect::at_most_once;
    std::uint64_t needs = 0;  ///< blobs of its session that were announced before it
    std::uint32_t slot = none;
    bool listed = false;  ///< among the answered
    bool told = false;    ///< running: the coordinator of this link has heard that it has started
    time_point deadline = never;
    payload content;    ///< arguments, then the result
    wire::failure why;  ///< answered
  };
  struct slot {
    attempt_id who;
    bool busy = false;
    bool stopping = false;
    bool leaving = false;  ///< stopped because the worker ends, not because anybody wants it stopped
    bool lost = false;     ///< held by a job that ignores stop
    bool orphan = false;   ///< of a coordinator that is gone: nobody wants its result
    std::uint64_t session = 0;
    time_point deadline = never;
    time_point stop_at = never;  ///< when it was told
  };
  struct blob_ref {
    std::uint64_t order = 0;  ///< in which the session's blobs were announced
    std::uint64_t number = 0;
  };
  /// What is known of a name.
  struct named_value {
    std::uint64_t number = 0;
    std::uint64_t size = 0;  ///< of what is here
    std::uint64_t used = 0;  ///< published: when it was fetched last, by `fetch_clock_`
    bool published = false;
    bool here = false;
  };
  struct wanted {
    std::uint64_t request = 0;
    std::uint64_t session = 0;
    std::string name;
    bool asked = false;  ///< on this link, for itself or for another that wants the same
  };
  struct session {
    std::uint64_t announced = 0;
    wire::row<blob_ref> missing;
    std::map<std::string, named_value> values;
    std::uint32_t running = 0;
    bool ended = false;
  };
  struct incoming {
    std::uint64_t transfer = 0;
    attempt_id job;  ///< arguments; job 0: a blob
    wire::blob blob;
    wire::assembler from;
  };

  /// To a coordinator that has welcomed this worker, to nobody else: before the welcome only the hello may go, and what
  /// happens meanwhile the welcome's handler says from the state.
  void emit(wire::message&& what) {
    if (up_.ready()) actions_.emplace_back(std::in_place_type<send>, up_.link(), std::move(what));
  }
  void say(log_level level, std::string_view event, std::string text) {
    actions_.emplace_back(std::in_place_type<note>, level, event, std::move(text));
  }
  void violation(std::string_view what, time_point now);
  void name_attempts(wire::hello& h);
  void link_broken(time_point now);
  void forget_everything(time_point now);
  void begin_waiting(const attempt_id& id);
  void wake_waiting(std::uint64_t s);
  bool has_blobs(const attempt& a) const;
  void start_jobs(time_point now);
  void give_back(attempt_id id);
  void report_started(const attempt_id& id, attempt& a);
  memory_use memory(memory_use process) const;
  void answer(const attempt_id& id, attempt& a);
  void request_stop(slot& s, errc why, time_point now);
  wire::failure left(const attempt& a) const;
  void report_slots();
  void blob_arrived(wire::blob&& b, payload&& value, time_point now);
  void drop_value(named_value& v);
  bool evict_for(std::uint64_t size, const named_value& except);
  wire::failure over_limit(const wire::blob& b, std::uint64_t size) const;
  void ask(wanted& w);
  void ask_again(std::uint64_t s, const std::string& name);
  void end_fetches(std::uint64_t s, const std::string& name, const wire::failure& why);
  void leave_session(std::uint64_t s);
  void leave(exit_reason reason, error why);
  void finish_drain(time_point now);
  /// When being without a coordinator ends this worker.
  time_point unreachable_at() const noexcept {
    const bool first = id_ == 0 && options_.first_reach_within > duration::zero();
    return deadline_after(up_.away_since(), first ? options_.first_reach_within : options_.unreachable_after);
  }
  std::string place(std::uint32_t attempt_number) const {
    return who_.host + "/" + who_.name + ", attempt " + std::to_string(attempt_number);
  }

  void on(wire::welcome&& m, time_point now);
  void on(wire::refuse&& m, time_point now);
  void on(wire::goodbye&& m, time_point now);
  void on(wire::ping&& m, time_point) { emit(wire::pong{m.stamp}); }
  void on(wire::pong&&, time_point) {}
  void on(wire::chunk&& m, time_point now);
  void on(wire::abort_transfer&& m, time_point now);
  void on(wire::credit&& m, time_point);
  void on(wire::acknowledge&& m, time_point now);
  void on(wire::run&& m, time_point now);
  void on(wire::stop&& m, time_point now);
  void on(wire::recall&& m, time_point now);
  void on(wire::blob&& m, time_point now);
  void on(wire::fetch_failed&& m, time_point now);
  void on(wire::end_session&& m, time_point now);
  void on(wire::drain&&, time_point now) { drain(now); }
  template <class Other>
  void on(Other&&, time_point now) {
    violation("a message that a coordinator does not send", now);
  }

  identity who_;
  worker_options options_;
  uplink up_;
  send_queue out_;
  std::uint64_t id_ = 0, key_ = 0, epoch_ = 0;
  std::int64_t credit_ = 0;
  std::int64_t window_ = 0;
  error last_error_;

  std::unordered_map<attempt_id, attempt, attempt_hash> attempts_;
  std::unordered_map<std::uint64_t, session> sessions_;
  wire::row<attempt_id> ready_;     ///< waiting for a slot only; those that were taken back meanwhile are skipped
  wire::row<attempt_id> held_up_;   ///< waiting for blobs
  wire::row<attempt_id> answered_;  ///< not acknowledged, in the order of their ends
  wire::row<attempt_id> returned_;  ///< named in the hello and given back before the welcome
  wire::row<slot> slots_;
  std::vector<std::uint32_t> free_;
  std::uint32_t lost_ = 0;
  std::uint32_t orphans_ = 0;
  wire::row<incoming> in_;
  wire::row<wanted> wanted_;
  std::uint64_t fetch_clock_ = 0;
  std::uint64_t blob_bytes_ = 0;
  std::uint64_t result_bytes_ = 0;  ///< of the answered
  memory_use told_;                 ///< what the coordinator of this link has heard

  bool draining_ = false;
  bool drain_stops_ = false;
  bool exited_ = false;
  time_point drain_until_ = never;
  std::vector<worker_action> actions_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/worker_jobs.ipp"
#include "dtask/control/impl/worker_link.ipp"
#include "dtask/control/impl/worker_values.ipp"
#endif
