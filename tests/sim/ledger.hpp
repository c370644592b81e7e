// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "dtask/base/blob_kind.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/retry_policy.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/sim/observer.hpp"
#include "dtask/sim/trace.hpp"
#include "dtask/sim/virtual_scheduler.hpp"
#include "dtask/sim/world.hpp"
#include "virtual_job.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

/// What a client last did with a name.
struct named_value {
  std::uint64_t number = 0;  ///< the simulation's own
  blob_kind kind = blob_kind::broadcast;
};

/// What has to be known about a call to judge its end.
struct call_entry {
  virtual_job job;
  process_id client = 0;
  std::uint64_t call = 0;  ///< the client machine's number
  effect effect_class = effect::at_most_once;
  errc cannot_run = errc::ok;  ///< set where no worker can run its type: how it has to end
  duration deadline = default_deadline;
  duration no_worker_after{};
  wire::job_type type;
  retry_policy retry;
  std::map<std::string, named_value> values;  ///< what its client had seen complete, by name
  time_point submitted{};
  std::optional<time_point> cancelled;
  bool offline = false;       ///< its client had given the coordinator up, when it was submitted
  std::uint64_t freezes = 0;  ///< of its client, when it was submitted
  process_id sent_to = 0;     ///< the coordinator process to which it was sent last
  bool ended = false;
  errc code = errc::ok;
  std::uint32_t executions = 0;
  std::uint32_t fatal = 0;  ///< executions that ended with their process
};

/// One execution of a job on a virtual worker.
struct execution_entry {
  std::uint64_t job = 0;
  process_id worker = 0;
  process_id coordinator = 0;
  std::uint64_t lease = 0;  ///< the coordinator's number of the job
  std::uint32_t fence = 0;
  bool running = true;
};

/// The simulation's own books, kept from what the drivers see and from nothing that the machines say about themselves.
/// It knows what must hold at every step and writes down each breach.
class ledger final : public observer {
 public:
  ledger(const virtual_scheduler& clock, trace& log) : clock_(clock), log_(log) {}

  void violated(std::string what) override {
    log_.event("LEDGER", "violated", 0, 0, 0, what);
    if (violations_.size() < 32)
      violations_.push_back("at " + seconds_text(clock_.now().time_since_epoch()) + " s: " + what);
  }
  const std::vector<std::string>& violations() const noexcept { return violations_; }

  // ---- faults; in a calm simulation less is allowed ----

  void disturbed() noexcept override { calm_ = false; }
  bool calm() const noexcept { return calm_; }
  void coordinator_fell() noexcept { ++coordinator_falls_; }
  void may_overload() noexcept { overload_allowed_ = true; }
  bool overload_allowed() const noexcept { return overload_allowed_; }
  void slow_network() noexcept { fast_ = false; }
  bool fast() const noexcept { return fast_; }
  void client_frozen(process_id client) { ++freezes_[client]; }
  bool was_frozen(process_id client) const {
    const auto at = freezes_.find(client);
    return at != freezes_.end() && at->second != 0;
  }

  // ---- calls, as the client's driver sees them ----

  /// The number of a new job.
  std::uint64_t next_job() const noexcept { return calls_.size(); }
  void submitted(call_entry call) {
    call.submitted = clock_.now();
    call.freezes = freezes_[call.client];
    by_call_[{call.client, call.call}] = call.job.id;
    calls_.push_back(std::move(call));
    ++open_;
  }
  void sent(process_id client, std::uint64_t call, process_id coordinator) {
    if (call_entry* c = find(client, call)) {
      c->sent_to = coordinator;
      if (c->ended) violated(name(*c) + " was sent after its end");
    }
  }
  void cancelled(process_id client, std::uint64_t call) {
    if (call_entry* c = find(client, call); c && !c->cancelled) c->cancelled = clock_.now();
  }
  /// The client cancels everything that it has open.
  void client_closing(process_id client) {
    for (call_entry& c : calls_)
      if (c.client == client && !c.ended && !c.cancelled) c.cancelled = clock_.now();
  }
  /// `away`: how long the client has heard nothing of its coordinator.
  void completed(process_id client, const control::complete& end, const control::client_options& options,
                 duration away) {
    call_entry* c = find(client, end.call);
    if (c == nullptr)
      return violated("client " + std::to_string(client) + " completed call " + std::to_string(end.call) +
                      " that it never made");
    if (c->ended)
      return violated(name(*c) + " ended twice: " + std::string(to_string(c->code)) + ", then " +
                      std::string(to_string(end.why.code)));
    c->ended = true;
    c->code = end.why.code;
    --open_;
    ++ends_[end.why.code];
    judge(*c, end, options, away);
  }
  /// The client's process is gone: nobody waits for its calls any more.
  void client_gone(process_id client) {
    clients_gone_.insert(client);
    for (call_entry& c : calls_)
      if (c.client == client && !c.ended) {
        c.ended = true;
        c.code = errc::closed;
        --open_;
      }
  }
  std::uint64_t open_calls() const noexcept { return open_; }
  const std::vector<call_entry>& calls() const noexcept { return calls_; }
  const std::vector<execution_entry>& executions() const noexcept { return executions_; }
  const call_entry* call_of(std::uint64_t job) const noexcept { return job < calls_.size() ? &calls_[job] : nullptr; }
  const call_entry* call_of(process_id client, std::uint64_t call) const {
    const auto at = by_call_.find({client, call});
    return at == by_call_.end() ? nullptr : &calls_[at->second];
  }
  const std::map<errc, std::uint64_t>& ends() const noexcept { return ends_; }
  std::size_t submitted_calls() const noexcept { return calls_.size(); }
  std::string name(const call_entry& c) const {
    return "job " + std::to_string(c.job.id) + " (client " + std::to_string(c.client) + " call " +
           std::to_string(c.call) + ", " + std::string(to_string(c.effect_class)) + ", behaviour " +
           std::to_string(static_cast<int>(c.job.does)) + ")";
  }

  // ---- broadcasts ----

  std::uint64_t next_broadcast(process_id client, const std::string& name) {
    last_value_[{client, name}] = ++broadcasts_;
    return broadcasts_;
  }
  /// Whether the client has done something else with the name since, so that this value need not be there any more.
  bool superseded(process_id client, const std::string& name, std::uint64_t number) const {
    const auto at = last_value_.find({client, name});
    return at != last_value_.end() && at->second > number;
  }

  // ---- leases, as the coordinator's driver sees them ----

  void coordinator_known(std::uint64_t epoch, process_id coordinator) {
    const auto [at, fresh] = epochs_.insert({epoch, coordinator});
    if (at->second != coordinator) violated("two coordinators have one epoch");
  }
  process_id coordinator_of(std::uint64_t epoch) const {
    const auto at = epochs_.find(epoch);
    return at == epochs_.end() ? 0 : at->second;
  }
  void worker_known(process_id coordinator, std::uint64_t worker, std::uint32_t slots, std::uint32_t prefetch_max) {
    worker_book& w = workers_[{coordinator, worker}];
    w.slots = slots;
    w.most = static_cast<std::size_t>(slots) * (1 + static_cast<std::size_t>(prefetch_max));
  }
  /// From now on the coordinator can hear the worker, which runs these jobs, until `worker_leaves`.
  void worker_serves(process_id coordinator, std::uint64_t worker, const std::vector<wire::job_type>& jobs) {
    if (draining_.contains({coordinator, worker})) return;  // on another link it drains still
    for (const wire::job_type& j : jobs) services_[{coordinator, j.name, j.schema}].workers.insert(worker);
  }
  void worker_drains(process_id coordinator, std::uint64_t worker) {
    draining_.insert({coordinator, worker});
    worker_leaves(coordinator, worker);
  }
  void worker_leaves(process_id coordinator, std::uint64_t worker) {
    for (auto& [key, s] : services_)
      if (std::get<0>(key) == coordinator && s.workers.erase(worker) != 0) s.last = clock_.now();
  }
  /// The coordinator knows nothing of the worker's former leases any more.
  void leases_void(process_id coordinator, std::uint64_t worker) {
    for (auto& [key, l] : leases_)
      if (key.first == coordinator && l.worker == worker) l.revoked = true;
  }
  void lease_granted(process_id coordinator, std::uint64_t worker, std::uint64_t job, std::uint32_t fence,
                     effect effect_class) {
    worker_book& w = workers_[{coordinator, worker}];
    lease_book& l = leases_[{coordinator, job}];
    const std::string what = "lease " + std::to_string(job) + "/" + std::to_string(fence);
    if (fence <= l.fence) violated(what + " has no newer fence than " + std::to_string(l.fence));
    if (l.granted) violated(what + " was granted while " + std::to_string(l.fence) + " is held");
    if (effect_class == effect::at_most_once) {
      if (l.started) violated(what + " grants a second attempt of a job that may run once");
      if (w.leases >= w.slots) violated(what + " of a job that may run once was sent ahead");
    }
    if (w.leases >= w.most) violated(what + " exceeds the window of worker " + std::to_string(worker));
    l.fence = fence;
    l.worker = worker;
    l.granted = true;
    l.revoked = l.accepted = false;
    ++w.leases;
  }
  /// `done`: with a result; else given back, stopped, or its link is gone.
  void lease_ended(process_id coordinator, std::uint64_t job, std::uint32_t fence, bool done) {
    const auto at = leases_.find({coordinator, job});
    if (at == leases_.end() || at->second.fence != fence) return;
    lease_book& l = at->second;
    if (done && !l.revoked) l.accepted = true;
    if (!std::exchange(l.granted, false)) return;
    --workers_[{coordinator, l.worker}].leases;
  }
  void link_of_worker_gone(process_id coordinator, std::uint64_t worker) {
    for (auto& [key, l] : leases_)
      if (key.first == coordinator && l.worker == worker && std::exchange(l.granted, false))
        --workers_[{coordinator, worker}].leases;
  }
  /// A worker came back in time and still has this lease.
  void lease_kept(process_id coordinator, std::uint64_t worker, std::uint64_t job, std::uint32_t fence) {
    const auto at = leases_.find({coordinator, job});
    if (at == leases_.end() || at->second.fence != fence || at->second.worker != worker || at->second.revoked ||
        at->second.accepted)
      return;
    if (!std::exchange(at->second.granted, true)) ++workers_[{coordinator, worker}].leases;
  }
  void accepted(process_id coordinator, std::uint64_t session, std::uint64_t call) {
    accepted_[{coordinator, session, call}];
  }
  /// Its link broke before its arguments had come: the client has to send it again, unless it has had the end that the
  /// call came to without them (its worker was lost, say, which then had not begun it).
  void not_accepted(process_id coordinator, std::uint64_t session, std::uint64_t call) {
    accepted_.erase({coordinator, session, call});
  }
  /// `at_once`: no break of the client's link can have held it up.
  void result_sent(process_id coordinator, std::uint64_t session, std::uint64_t call, std::uint64_t link, errc code,
                   bool at_once = false) {
    const auto at = accepted_.find({coordinator, session, call});
    if (at == accepted_.end()) return violated("a result of call " + std::to_string(call) + " that was never accepted");
    if (code == errc::overloaded) {  // refused without a record; the client may send it again
      accepted_.erase(at);
      return;
    }
    acceptance& a = at->second;
    if (a.results != 0 && a.link == link) violated("two results of call " + std::to_string(call) + " on one link");
    if (a.results != 0 && a.code != code)
      violated("call " + std::to_string(call) + " has two ends: " + std::string(to_string(a.code)) + " and " +
               std::string(to_string(code)));
    ++a.results;
    if (code == errc::no_worker && at_once && a.results == 1) judge_no_worker(coordinator, session, call);
    a.link = link;
    a.code = code;
  }
  void session_of(process_id coordinator, std::uint64_t session, process_id client) {
    sessions_[{coordinator, session}] = client;
  }
  /// The client has been welcomed to this session. Not when the coordinator began it: after a pause it reads the hellos
  /// of several connections, in any order.
  void welcomed(process_id client, process_id coordinator, std::uint64_t session) {
    newest_session_[{coordinator, client}] = session;
  }
  /// At rest: every job that a living coordinator accepted of a living client has ended. A client that was away for so
  /// long that it began another session has ended the calls of the former itself.
  void check_all_answered(process_id coordinator) {
    for (const auto& [key, a] : accepted_) {
      const std::uint64_t session = std::get<1>(key);
      const process_id client = sessions_[{coordinator, session}];
      if (std::get<0>(key) == coordinator && a.results == 0 && !clients_gone_.contains(client) &&
          newest_session_[{coordinator, client}] == session)
        violated("call " + std::to_string(std::get<2>(key)) + " of session " + std::to_string(std::get<1>(key)) +
                 " was accepted and has no end");
    }
  }

  // ---- executions, as the worker's driver sees them ----

  /// A job's code begins to run. Returns the number of the execution.
  std::uint64_t started(process_id worker, std::uint32_t slot, std::uint32_t slots, std::uint64_t job,
                        process_id coordinator, const control::run_job& run) {
    std::set<std::uint32_t>& busy = busy_[worker];
    if (slot >= slots)
      violated("worker " + std::to_string(worker) + " runs a job in slot " + std::to_string(slot) + " of " +
               std::to_string(slots));
    if (!busy.insert(slot).second)
      violated("worker " + std::to_string(worker) + " runs two jobs in slot " + std::to_string(slot));
    if (busy.size() > slots)
      violated("worker " + std::to_string(worker) + " runs " + std::to_string(busy.size()) + " jobs on " +
               std::to_string(slots) + " slots");
    const std::uint64_t number = executions_.size();
    executions_.push_back({job, worker, coordinator, run.job, run.fence, true});
    if (job >= calls_.size()) {
      violated("worker " + std::to_string(worker) + " runs a job that nobody submitted");
      return number;
    }
    call_entry& c = calls_[job];
    ++c.executions;
    if (c.effect_class != run.effect_class) violated(name(c) + " runs with another effect class");
    if (c.effect_class == effect::at_most_once && c.executions > 1) violated(name(c) + " runs twice");
    // Six losses without a word, after which it runs alone, and three deaths alone.
    if (c.fatal >= 9 && coordinator_falls_ == 0)
      violated(name(c) + " runs again after " + std::to_string(c.fatal) + " deaths");
    if (const auto at = leases_.find({coordinator, run.job}); at != leases_.end()) {
      at->second.started = true;
      if (run.fence > at->second.fence) violated(name(c) + " runs under a lease that was never granted");
    } else {
      violated(name(c) + " runs without a lease");
    }
    if (!run_leases_.insert({worker, coordinator, run.job, run.fence}).second)
      violated(name(c) + " runs twice under one lease");
    return number;
  }
  void execution_ended(process_id worker, std::uint32_t slot, std::uint64_t execution) {
    busy_[worker].erase(slot);
    executions_[execution].running = false;
  }
  void worker_gone(process_id worker) {
    busy_.erase(worker);
    for (execution_entry& e : executions_)
      if (e.worker == worker && e.running) {
        e.running = false;
        if (e.job < calls_.size()) ++calls_[e.job].fatal;
      }
  }
  std::size_t running(process_id worker) const {
    const auto at = busy_.find(worker);
    return at == busy_.end() ? 0 : at->second.size();
  }

 private:
  struct worker_book {
    std::uint32_t slots = 0;
    std::size_t leases = 0;
    std::size_t most = 0;
  };
  struct lease_book {
    std::uint32_t fence = 0;
    std::uint64_t worker = 0;
    bool granted = false;   // on a link that is open
    bool revoked = false;   // the coordinator has forgotten it
    bool accepted = false;  // its end reached the coordinator in time
    bool started = false;   // some attempt ran
  };
  struct service {
    std::set<std::uint64_t> workers;  // that run a job now
    time_point last{};                // when the last of them left
  };
  struct acceptance {
    std::uint32_t results = 0;
    std::uint64_t link = 0;
    errc code = errc::ok;
  };

  call_entry* find(process_id client, std::uint64_t call) {
    const auto at = by_call_.find({client, call});
    return at == by_call_.end() ? nullptr : &calls_[at->second];
  }

  void judge(const call_entry& c, const control::complete& end, const control::client_options& options, duration away) {
    const time_point now = clock_.now();
    const duration took = now - c.submitted;
    const auto allow = [&](bool may) {
      if (!may)
        violated(name(c) + " ended " + std::string(to_string(end.why.code)) + " (" + end.why.message + ") after " +
                 seconds_text(took) + " s, which nothing explains");
    };
    const bool frozen = freezes_[c.client] != c.freezes;
    constexpr duration slack = std::chrono::milliseconds(20);  // how late a driver's clock may ring
    if (!frozen && c.deadline != no_deadline && took > c.deadline + options.deadline_slack + slack)
      violated(name(c) + " ended " + seconds_text(took - c.deadline) + " s after its deadline");
    if (!frozen && c.cancelled && now > *c.cancelled + options.cancel_within + slack)
      violated(name(c) + " ended too long after it was cancelled");
    if (c.cancelled && end.why.code != errc::ok && end.why.code != errc::cancelled)
      violated(name(c) + " was cancelled and ended " + std::string(to_string(end.why.code)));
    const bool kills = c.job.does == behaviour::kill_worker || c.job.does == behaviour::kill_at_first;
    switch (end.why.code) {
      case errc::ok:
        return judge_value(c, end);
      case errc::cancelled:
        return allow(c.cancelled.has_value());
      case errc::deadline_exceeded:
        return allow(c.deadline != no_deadline && took + std::chrono::milliseconds(1) >= c.deadline);
      case errc::job_failed:
        return allow(c.job.does == behaviour::fail || c.job.does == behaviour::fail_at_first);
      case errc::encode_failed:
        return allow(c.job.does == behaviour::cannot_encode);
      case errc::job_abandoned:
        return allow(c.job.does == behaviour::ignore_stop);
      case errc::quarantined:
        return allow(kills || !calm_);
      case errc::schema_mismatch:
      case errc::unknown_job:
        return allow(c.cannot_run == end.why.code);
      case errc::no_worker:
        return allow((c.cannot_run == errc::no_worker || !calm_) &&
                     took + std::chrono::milliseconds(1) >= c.no_worker_after);
      case errc::worker_lost:
        return allow(kills || !calm_);
      case errc::coordinator_lost:
        return allow(!calm_ && (coordinator_falls_ != 0 || c.offline || away >= options.coordinator_wait ||
                                !may_run_again(c.effect_class)));
      case errc::session_lost:
      case errc::unreachable:
      case errc::closed:
        return allow(!calm_);
      case errc::too_large:
      case errc::overloaded:
        return allow(overload_allowed_);
      default:
        return allow(false);
    }
  }
  /// The stated time without a worker has passed since the last one that could run the job was heard.
  void judge_no_worker(process_id coordinator, std::uint64_t session, std::uint64_t call) {
    const call_entry* const c = find(sessions_[{coordinator, session}], call);
    if (c == nullptr) return;
    const auto at = services_.find({coordinator, c->type.name, c->type.schema});
    if (at == services_.end()) return;
    const duration without = at->second.workers.empty() ? clock_.now() - at->second.last : duration::zero();
    if (without + std::chrono::milliseconds(1) < c->no_worker_after)
      violated(name(*c) + " ended no_worker " + seconds_text(without) + " s after there was one, not " +
               seconds_text(c->no_worker_after) + " s");
  }
  void judge_value(const call_entry& c, const control::complete& end) {
    const auto value = decode_result(end.value, c.job.result_bytes);
    if (!value || value->id != c.job.id) return violated(name(c) + " got a value that is not its own or was damaged");
    if (value->execution >= executions_.size() || executions_[value->execution].job != c.job.id)
      return violated(name(c) + " got the value of an execution that never was");
    if (c.job.does == behaviour::fail || c.job.does == behaviour::kill_worker || c.job.does == behaviour::cannot_encode)
      violated(name(c) + " has a value though it never returns one");
    const execution_entry& e = executions_[value->execution];
    if (e.coordinator != c.sent_to) violated(name(c) + " got a value from before the coordinator's restart");
    const auto at = leases_.find({e.coordinator, e.lease});
    if (at == leases_.end()) return violated(name(c) + " got the value of an execution without a lease");
    if (at->second.fence != e.fence)
      violated(name(c) + " got the value of attempt " + std::to_string(e.fence) + ", which was fenced by " +
               std::to_string(at->second.fence));
    else if (!at->second.accepted)
      violated(name(c) + " got the value of a lease that had been taken back");
  }

  const virtual_scheduler& clock_;
  trace& log_;
  std::vector<std::string> violations_;
  bool calm_ = true;
  bool overload_allowed_ = false;
  bool fast_ = true;
  std::uint64_t coordinator_falls_ = 0;
  std::map<process_id, std::uint64_t> freezes_;
  std::map<std::uint64_t, process_id> epochs_;
  std::uint64_t broadcasts_ = 0;
  std::map<std::pair<process_id, std::string>, std::uint64_t> last_value_;
  std::vector<call_entry> calls_;
  std::map<std::pair<process_id, std::uint64_t>, std::uint64_t> by_call_;
  std::uint64_t open_ = 0;
  std::map<errc, std::uint64_t> ends_;
  std::vector<execution_entry> executions_;
  std::map<process_id, std::set<std::uint32_t>> busy_;
  std::set<std::tuple<process_id, process_id, std::uint64_t, std::uint32_t>> run_leases_;
  std::map<std::pair<process_id, std::uint64_t>, worker_book> workers_;
  std::map<std::pair<process_id, std::uint64_t>, lease_book> leases_;
  std::map<std::tuple<process_id, std::uint64_t, std::uint64_t>, acceptance> accepted_;
  std::map<std::pair<process_id, std::uint64_t>, process_id> sessions_;
  std::set<process_id> clients_gone_;
  std::set<std::pair<process_id, std::uint64_t>> draining_;
  std::map<std::tuple<process_id, std::string, std::uint64_t>, service> services_;
  std::map<std::pair<process_id, process_id>, std::uint64_t> newest_session_;  ///< by coordinator and client
};

}  // namespace harness
