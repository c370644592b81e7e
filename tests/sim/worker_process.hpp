// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/control/machine_driver.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/worker_state.hpp"
#include "dtask/sim/process.hpp"
#include "ledger.hpp"
#include "virtual_job.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

/// A worker's process: the real state machine, and an executor that only pretends to compute.
class worker_process final
    : public control::machine_driver<worker_process, control::worker_state, control::worker_action, process> {
  friend driver;

 public:
  struct setting {
    std::string name = "worker";
    std::uint32_t slots = 2;
    std::vector<wire::job_type> jobs;
    control::worker_options options;
    double slowness = 1;  ///< jobs take so many times longer here
    host_id coordinator = 0;
  };
  /// Called when a job kills its process, before it dies.
  using killed = std::function<void()>;

  worker_process(world& in, ledger& book, host_id host, const setting& how)
      : driver(in, host, how.name, how.options.limits),
        book_(book),
        how_(with_digest(how)),
        machine_(who(), how_.options, in.chance.next()) {
    in_.log.event(name(), "start", id(), how_.slots);
    machine_.start(now());
    settle();
  }

  void drain() {
    when_awake([this] {
      in_.log.event(name(), "drain");
      machine_.drain(now());
      settle();
    });
  }
  void stop() {
    when_awake([this] {
      machine_.stop(now());
      settle();
    });
  }
  std::optional<control::exit_reason> exited() const noexcept { return exited_; }
  std::uint32_t pid() const noexcept { return id(); }
  std::size_t running() const noexcept { return running_.size(); }
  /// What it keeps for clients whose end it has not heard of.
  std::size_t open_sessions() const { return machine_.open_sessions().size(); }
  void set_slowness(double times) noexcept { how_.slowness = times; }

 private:
  struct execution {
    virtual_job job;
    control::run_job run;
    std::uint64_t number = 0;
    bool asked_to_stop = false;
    std::uint64_t fetch = 0;  ///< the request that it waits for, 0: none
    bool due = false;         ///< its time is over, but for that
    errc stop_cause = errc::ok;
    std::unique_ptr<sim::alarm> ends;
  };
  using key = std::pair<std::uint64_t, std::uint32_t>;
  struct held_value {
    std::uint64_t number = 0;   ///< the simulation's own, of what is here
    std::uint64_t version = 0;  ///< the machine's
    bool here = false;
  };

  static setting with_digest(setting s) {
    s.options.digest = &digest_of;
    return s;
  }
  control::identity who() const {
    control::identity i;
    i.role = wire::role::worker;
    i.name = name();
    i.host = "host" + std::to_string(host());
    i.pid = id();
    i.slots = how_.slots;
    i.jobs = how_.jobs;
    return i;
  }

  void receive(control::link_id from, wire::message&& m) {
    if (const auto* run = m.get_if<wire::run>()) {
      // Which coordinator granted it: the books count leases for each of its lives.
      grants_[{run->job, run->fence}] = coordinator_;
    } else if (const auto* w = m.get_if<wire::welcome>()) {
      coordinator_ = book_.coordinator_of(w->epoch);
    }
    driver::receive(from, std::move(m));
  }
  void each_link(const std::function<void(virtual_link&)>& f) override { driver::each_link(f); }
  std::shared_ptr<void> drop_links() override { return take_links(); }
  void act(control::dial&) {
    this->dial(how_.coordinator, [this](result<network::end> made) { dialed(std::move(made)); });
  }
  void act(control::run_job& a) {
    flush_links();
    const auto grant = grants_.find({a.job, a.fence});
    const process_id from = grant == grants_.end() ? 0 : grant->second;
    if (from != coordinator_) book_.violated(name() + " starts a job of a coordinator that is gone");
    const std::optional<virtual_job> job = decode_job(a.arguments);
    if (!job) book_.violated(name() + " got damaged arguments of lease " + std::to_string(a.job));
    const key at{a.job, a.fence};
    if (running_.contains(at)) book_.violated(name() + " was told to run one lease twice");
    execution& e = running_[at];
    e.job = job.value_or(virtual_job{});
    e.run = std::move(a);
    e.run.arguments = {};
    e.number = book_.started(id(), e.run.slot, how_.slots, job ? job->id : ~std::uint64_t{0}, from, e.run);
    in_.log.event(name(), "run", e.job.id, e.run.fence, e.run.slot);
    check_values(e);
    if (e.job.fetches != 0 && e.job.does != behaviour::ignore_stop) {
      e.fetch = ++last_fetch_;
      fetches_[e.fetch] = at;
    }
    e.ends = std::make_unique<sim::alarm>(in_.clock, [this, at] { when_awake([this, at] { end_of(at); }); });
    const auto takes = duration(static_cast<std::int64_t>(static_cast<double>(e.job.runs.count()) * how_.slowness));
    e.ends->set(deadline_after(now(), takes));
    // Not from inside the machine's own turn.
    if (e.fetch != 0)
      in_.clock.call_after(duration::zero(), [this, request = e.fetch] {
        when_awake([this, request] {
          const auto who = fetches_.find(request);
          if (who == fetches_.end()) return;
          const execution& asks = running_.at(who->second);
          machine_.fetch(request, asks.run.session, value_names[asks.job.fetches - 1], now());
          settle();
        });
      });
  }
  void act(control::fetched& a) {
    const auto who = fetches_.find(a.request);
    if (who == fetches_.end()) return book_.violated(name() + " answered a fetch twice, or one that was forgotten");
    const key at = who->second;
    fetches_.erase(who);
    execution& e = running_.at(at);
    e.fetch = 0;
    in_.log.event(name(), "fetched", e.job.id, static_cast<std::uint64_t>(a.why.code), 0, a.name);
    check_fetched(e, a);
    if (e.due) in_.clock.call_after(duration::zero(), [this, at] { when_awake([this, at] { end_of(at); }); });
  }
  void act(control::stop_job& a) {
    const auto at = running_.find({a.job, a.fence});
    if (at == running_.end()) return;  // it has just ended
    execution& e = at->second;
    in_.log.event(name(), "stop", e.job.id, a.fence);
    if (e.asked_to_stop) return;
    e.asked_to_stop = true;
    e.stop_cause = a.why;
    if (e.job.does == behaviour::ignore_stop) return;
    const time_point soon = now() + in_.chance.time(duration::zero(), std::chrono::milliseconds(40));
    if (soon < e.ends->rings_at()) e.ends->set(soon);
  }
  void act(control::blob_available& a) {
    in_.log.event(name(), "blob", a.session, a.number);
    const std::uint64_t number = broadcast_number(a.value);
    if (number == 0) book_.violated(name() + " holds a damaged broadcast " + a.name);
    held_value& held = values_[{a.session, a.name}];
    if (held.here ? number <= held.number : a.number < held.version)
      book_.violated(name() + " replaced broadcast " + a.name + " by an older one or by itself");
    held = {number, a.number, true};
  }
  void act(control::blob_announced& a) {
    in_.log.event(name(), "announced", a.session, a.number);
    held_value& held = values_[{a.session, a.name}];
    if (a.number < held.version || (a.number == held.version && !held.here))
      book_.violated(name() + " was told of an older " + a.name + ", or twice");
    held = {0, a.number, false};
  }
  void act(control::blob_withdrawn& a) {
    in_.log.event(name(), "withdrawn", a.session);
    if (values_.erase({a.session, a.name}) == 0)
      book_.violated(name() + " withdrew " + a.name + ", which was not there");
  }
  void act(control::session_ended& a) {
    std::erase_if(values_, [&](const auto& v) { return v.first.first == a.session; });
    for (const auto& [at, e] : running_)
      if (e.run.session == a.session) book_.violated(name() + " forgot a session that still runs a job");
  }
  void act(control::exit& a) {
    in_.log.event(name(), "exit", static_cast<std::uint64_t>(a.reason), running_.size(), 0, a.why.what());
    exited_ = a.reason;
    if (a.reason == control::exit_reason::drained)
      for (const auto& [at, e] : running_)
        if (!e.asked_to_stop) book_.violated(name() + " drained and left a job running");
    if (a.reason == control::exit_reason::refused)
      book_.violated(name() + " was refused by its own coordinator: " + a.why.what());
    if (a.reason == control::exit_reason::no_slots) book_.disturbed();
    if (a.reason == control::exit_reason::no_slots)
      for (std::uint32_t busy = static_cast<std::uint32_t>(running_.size()); busy < how_.slots; busy = how_.slots)
        book_.violated(name() + " gave up with a free slot");
    end_in_order();
  }

  /// What its client had named before must be there, what it had withdrawn must not, but for what it has done since.
  void check_values(const execution& e) {
    const call_entry* const call = book_.call_of(e.job.id);
    if (call == nullptr) return;
    for (const auto& [value_name, known] : call->values) {
      const auto at = values_.find({e.run.session, value_name});
      const bool superseded = book_.superseded(call->client, value_name, known.number);
      const std::string what = name() + " started job " + std::to_string(e.job.id);
      if (known.kind == blob_kind::withdrawn) {
        if (at != values_.end() && at->second.here && at->second.number < known.number)
          book_.violated(what + " with " + value_name + ", which was withdrawn before");
      } else if (at == values_.end()) {
        if (!superseded) book_.violated(what + " before it knew " + value_name);
      } else if (at->second.here ? at->second.number < known.number
                                 : known.kind == blob_kind::broadcast && !superseded && !limited()) {
        book_.violated(what + " before " + value_name + " number " + std::to_string(known.number));
      }
    }
  }
  void check_fetched(const execution& e, const control::fetched& a) {
    const call_entry* const call = book_.call_of(e.job.id);
    if (call == nullptr) return;
    const auto known = call->values.find(a.name);
    const std::string what = name() + ", job " + std::to_string(e.job.id) + ": the fetch of " + a.name;
    if (a.why.code == errc::ok) {
      const auto at = values_.find({a.session, a.name});
      if (at == values_.end() || !at->second.here) return book_.violated(what + " brought nothing");
      if (known != call->values.end() && at->second.number < known->second.number)
        book_.violated(what + " brought an older value than its client had published");
    } else if (a.why.code == errc::not_found) {
      if (known != call->values.end() && known->second.kind != blob_kind::withdrawn &&
          !book_.superseded(call->client, a.name, known->second.number) && book_.calm())
        book_.violated(what + " found nothing: " + a.why.message);
    } else if (a.why.code == errc::too_large ? !limited() : book_.calm() && !e.asked_to_stop) {
      book_.violated(what + " failed: " + a.why.message);
    }
  }
  /// Whether it may hold fewer values than its clients have.
  bool limited() const noexcept { return how_.options.broadcast_bytes < (std::uint64_t{64} << 20); }

  void end_of(key at) {
    const auto found = running_.find(at);
    if (found == running_.end()) return;
    execution& e = found->second;
    if (e.fetch != 0 && !e.asked_to_stop) {
      e.due = true;
      return;
    }
    if (e.fetch != 0) {
      fetches_.erase(e.fetch);
      machine_.forget_fetch(std::exchange(e.fetch, 0));
    }
    const std::uint32_t before = book_.call_of(e.job.id) != nullptr ? book_.call_of(e.job.id)->executions - 1 : 0;
    const bool kills =
        e.job.does == behaviour::kill_worker || (e.job.does == behaviour::kill_at_first && before < e.job.times);
    if (kills && !(e.asked_to_stop && in_.chance.chance(0.5))) {
      in_.log.event(name(), "job kills it", e.job.id);
      return in_.clock.call_after(duration::zero(), [this] { kill(in_.chance.chance(0.8), false); });
    }
    wire::failure why;
    payload value;
    if (e.asked_to_stop && e.job.does != behaviour::ignore_stop) {
      why = {.code = e.stop_cause == errc::ok ? errc::cancelled : e.stop_cause, .message = "stopped"};
    } else if (e.job.does == behaviour::fail || (e.job.does == behaviour::fail_at_first && before < e.job.times)) {
      why = {.code = errc::job_failed, .type = "virtual_exception", .message = "as ordered"};
    } else if (e.job.does == behaviour::cannot_encode) {
      why = {.code = errc::encode_failed, .message = "as ordered"};
    } else {
      value = encode(virtual_result{e.job.id, e.number}, e.job.result_bytes);
    }
    in_.log.event(name(), "end", e.job.id, e.run.fence, static_cast<std::uint64_t>(why.code));
    book_.execution_ended(id(), e.run.slot, e.number);
    std::unique_ptr<sim::alarm> keep = std::move(e.ends);  // it is calling
    running_.erase(found);
    machine_.job_finished(at.first, at.second, std::move(why), std::move(value), now());
    settle();
    in_.clock.call_after(duration::zero(), [gone = std::shared_ptr<sim::alarm>(std::move(keep))] {});
  }
  void settled() {
    if (const std::string wrong = machine_.check(); !wrong.empty()) book_.violated(name() + ": " + wrong);
  }
  void died() override {
    for (auto& [at, e] : running_) e.ends->clear();
    book_.worker_gone(id());
  }

  ledger& book_;
  setting how_;
  control::worker_state machine_;
  std::map<key, execution> running_;
  std::map<key, process_id> grants_;
  std::map<std::pair<std::uint64_t, std::string>, held_value> values_;
  std::map<std::uint64_t, key> fetches_;
  std::uint64_t last_fetch_ = 0;
  process_id coordinator_ = 0;
  std::optional<control::exit_reason> exited_;
};

}  // namespace harness
