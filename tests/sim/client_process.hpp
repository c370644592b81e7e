// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/control/machine_driver.hpp"
#include "dtask/control/options.hpp"
#include "dtask/sim/process.hpp"
#include "ledger.hpp"
#include "virtual_job.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

/// A client's process: the real state machine, and the books of what it was promised.
class client_process final
    : public control::machine_driver<client_process, control::client_state, control::client_action, process> {
  friend driver;

 public:
  struct setting {
    std::string name = "client";
    std::vector<wire::job_type> jobs;
    control::client_options options;
    host_id coordinator = 0;
  };
  /// A call to make.
  struct wish {
    virtual_job job;  ///< its id is filled in
    std::uint32_t type = 0;
    errc cannot_run = errc::ok;
    effect effect_class = effect::idempotent;
    bool watch = false;
    duration deadline = default_deadline;
    duration no_worker_after = std::chrono::seconds(60);
    retry_policy retry;
    duration cancel_after = no_deadline;
  };
  using ended = std::function<void(const call_entry&, const control::complete&)>;

  client_process(world& in, ledger& book, host_id host, const setting& how)
      : driver(in, host, how.name, how.options.limits),
        book_(book),
        how_(with_digest(how)),
        machine_(who(), how_.options, in.chance.next()) {
    in_.log.event(name(), "start", id());
    machine_.start(now());
    settle();
  }

  void call(wish what) {
    when_awake([this, what = std::move(what)] {
      if (closing_ || final_) return;
      submit(what);
      settle();
    });
  }
  void cancel(std::uint64_t call_number) {
    when_awake([this, call_number] {
      if (!calls_.contains(call_number)) return;
      in_.log.event(name(), "cancel", call_number);
      book_.cancelled(id(), call_number);
      machine_.cancel(call_number, now());
      settle();
    });
  }
  void broadcast(const std::string& blob, std::size_t size, blob_kind kind = blob_kind::broadcast) {
    when_awake([this, blob, size, kind] {
      if (closing_ || final_) return;
      const std::uint64_t number = book_.next_broadcast(id(), blob);
      const std::uint64_t request = kind == blob_kind::withdrawn
                                        ? machine_.withdraw(blob, now())
                                        : machine_.broadcast(blob, broadcast_value(number, size), now(), kind);
      in_.log.event(name(), kind == blob_kind::withdrawn ? "withdraw" : "broadcast", request, number, size,
                    blob.substr(0, 40));
      if (!broadcasts_.insert({request, {blob, {number, kind}}}).second)
        book_.violated(name() + " gave a number of a broadcast twice");
      settle();
    });
  }
  void query_status() {
    when_awake([this] {
      if (closing_ || final_) return;
      statuses_[machine_.query_status(now())] = now();
      settle();
    });
  }
  /// Orderly end; with `abandon` at once.
  void close(bool abandon = false) {
    when_awake([this, abandon] {
      if (closed_) return;
      in_.log.event(name(), abandon ? "abandon" : "close");
      closing_ = true;
      closing_since_ = now();
      book_.client_closing(id());
      if (abandon)
        machine_.abandon(now());
      else
        machine_.close(now());
      settle();
    });
  }

  bool closed() const noexcept { return closed_; }
  bool closing() const noexcept { return closing_; }
  bool online() const noexcept { return online_; }
  bool finally_offline() const noexcept { return final_; }
  std::uint64_t times_online() const noexcept { return times_online_; }
  bool resumed() const noexcept { return resumed_; }
  std::size_t open() const noexcept { return calls_.size(); }
  std::size_t open_broadcasts() const noexcept { return broadcasts_.size(); }
  const control::client_options& options() const noexcept { return how_.options; }
  void on_end(ended f) { on_end_ = std::move(f); }

  /// What must hold whenever the client waits for nothing.
  void check_ended() {
    if (!calls_.empty()) book_.violated(name() + " still has " + std::to_string(calls_.size()) + " calls");
    if (!broadcasts_.empty())
      book_.violated(name() + " still has " + std::to_string(broadcasts_.size()) + " broadcasts");
    if (!statuses_.empty())
      book_.violated(name() + " still has " + std::to_string(statuses_.size()) + " status requests");
  }

 private:
  struct open_call {
    bool watch = false;
    bool accepted = false;
    bool sent = false;
    std::uint64_t cost = 0;
    std::uint32_t attempt = 0;
    process_id under = 0;  ///< the coordinator that reported it
  };

  static setting with_digest(setting s) {
    s.options.digest = &digest_of;
    return s;
  }
  control::identity who() const {
    control::identity i;
    i.role = wire::role::client;
    i.name = name();
    i.host = "host" + std::to_string(host());
    i.pid = id();
    i.jobs = how_.jobs;
    return i;
  }
  void submit(const wish& what) {
    call_entry record;
    record.job = what.job;
    record.job.id = book_.next_job();
    record.client = id();
    record.effect_class = what.effect_class;
    record.cannot_run = what.cannot_run;
    record.deadline = what.deadline;
    record.no_worker_after = what.no_worker_after;
    record.type = how_.jobs[what.type];
    record.retry = what.retry;
    record.offline = !online_ && times_online_ != 0;
    record.values = complete_values_;
    call_request request;
    request.type = what.type;
    request.wishes.effect_class = what.effect_class;
    request.wishes.watch = what.watch;
    request.wishes.deadline = what.deadline;
    request.wishes.no_worker_after = what.no_worker_after;
    request.wishes.retry = what.retry;
    request.arguments = encode(record.job);
    const std::uint64_t cost = control::job_cost + request.arguments.size();
    const std::uint64_t number = machine_.submit(std::move(request), now());
    in_.log.event(name(), "call", number, record.job.id, static_cast<std::uint64_t>(what.job.does),
                  to_string(what.effect_class));
    record.call = number;
    if (!calls_.insert({number, {what.watch, false, false, cost, 0, 0}}).second)
      book_.violated(name() + " gave a number of a call twice");
    waiting_.push_back(number);
    book_.submitted(std::move(record));
    if (what.cancel_after != no_deadline) in_.clock.call_after(what.cancel_after, [this, number] { cancel(number); });
  }

  void receive(control::link_id from, wire::message&& m) {
    if (const auto* w = m.get_if<wire::welcome>()) {
      // A session outlives its link for as long as was said, unless this client had given the coordinator up.
      const process_id from_now = book_.coordinator_of(w->epoch);
      if (times_online_ != 0 && online_ && !w->resumed && from_now == coordinator_ && book_.fast() &&
          !book_.was_frozen(id()) && now() < heard_ + grace / 2)
        book_.violated(name() + " lost its session " + seconds_text(now() - heard_) + " s after it was last heard");
      coordinator_ = from_now;
      book_.welcomed(id(), coordinator_, w->session);
    }
    heard_ = now();
    driver::receive(from, std::move(m));
  }
  void each_link(const std::function<void(virtual_link&)>& f) override { driver::each_link(f); }
  std::shared_ptr<void> drop_links() override { return take_links(); }
  void sees_sent(control::link_id, const wire::message& m) {
    const auto* const submitted = m.get_if<wire::submit>();
    if (submitted == nullptr) return;
    book_.sent(id(), submitted->call, coordinator_);
    const auto at = calls_.find(submitted->call);
    if (at == calls_.end() || !at->second.accepted)
      book_.violated(name() + " sends call " + std::to_string(submitted->call) + ", which it has not accepted");
    else
      at->second.sent = true;
  }
  void act(control::dial&) {
    this->dial(how_.coordinator, [this](result<network::end> made) { dialed(std::move(made)); });
  }
  void act(control::accepted& a) {
    const auto at = calls_.find(a.call);
    if (at == calls_.end() || std::exchange(at->second.accepted, true))
      return book_.violated(name() + " accepted call " + std::to_string(a.call) + " twice, or after its end");
    while (!waiting_.empty() && !calls_.contains(waiting_.front())) waiting_.pop_front();
    if (waiting_.empty() || waiting_.front() != a.call)
      return book_.violated(name() + " accepted call " + std::to_string(a.call) + " before an older one");
    waiting_.pop_front();
    // Large ones have their credit when they queue up at the link.
    constexpr std::uint64_t large = control::job_cost + control::send_queue::small;
    std::uint64_t ahead = 0;
    for (const auto& [number, each] : calls_)
      if (number != a.call && each.accepted && !each.sent && each.cost <= large) ahead += each.cost;
    if (ahead >= how_.options.unsent_bytes)
      book_.violated(name() + " has accepted " + std::to_string(ahead) + " bytes ahead of its credit");
  }
  void act(control::online& a) {
    in_.log.event(name(), "online", a.resumed);
    online_ = true;
    resumed_ = a.resumed;
    ++times_online_;
    // Another session knows of no attempt in the one before.
    if (!a.resumed)
      for (auto& [number, call] : calls_) call.under = 0;
  }
  void act(control::offline& a) {
    in_.log.event(name(), "offline", a.final, static_cast<std::uint64_t>(a.why.code()), 0, a.why.what());
    online_ = false;
    if (a.final && a.why.code() != errc::unreachable)
      book_.violated(name() + " was refused by its own coordinator: " + a.why.what());
    final_ = final_ || a.final;
  }
  void act(control::complete& a) {
    in_.log.event(name(), "complete", a.call, static_cast<std::uint64_t>(a.why.code), a.attempts, a.why.message);
    if (closed_) book_.violated(name() + " completed a call after it was closed");
    calls_.erase(a.call);
    book_.completed(id(), a, how_.options, now() - heard_);
    if (on_end_)
      if (const call_entry* c = book_.call_of(id(), a.call)) on_end_(*c, a);
  }
  void act(control::call_changed& a) {
    const auto at = calls_.find(a.call);
    if (at == calls_.end())
      return book_.violated(name() + " reports a state of call " + std::to_string(a.call) + ", which is over");
    if (!at->second.watch)
      book_.violated(name() + " reports a state of call " + std::to_string(a.call) + ", which nobody watches");
    if (a.attempt < at->second.attempt && coordinator_ == at->second.under)
      book_.violated(name() + " counts attempts backwards");
    at->second.under = coordinator_;
    at->second.attempt = a.attempt;
  }
  void act(control::broadcast_complete& a) {
    const auto at = broadcasts_.find(a.number);
    if (at == broadcasts_.end())
      return book_.violated(name() + " completed a broadcast twice, or one that it never made");
    in_.log.event(name(), "broadcast end", a.number, static_cast<std::uint64_t>(a.why.code), 0, a.why.message);
    if (a.why.code == errc::ok) {
      named_value& newest = complete_values_[at->second.first];
      if (at->second.second.number > newest.number) newest = at->second.second;
    } else if (at->second.first.size() > control::max_broadcast_name) {
      if (a.why.code != errc::too_large && book_.calm() && !closing_)
        book_.violated(name() + " failed to broadcast under a name that is too long: " + a.why.message);
    } else if (book_.calm() && !closing_ && !(a.why.code == errc::too_large && book_.overload_allowed())) {
      book_.violated(name() + " failed to broadcast: " + a.why.message);
    }
    broadcasts_.erase(at);
  }
  void act(control::status_arrived& a) {
    const auto at = statuses_.find(a.request);
    if (at == statuses_.end()) return book_.violated(name() + " answered a status request twice");
    if (book_.calm() && book_.fast() && a.why && !closing_) book_.violated(name() + " got no status: " + a.why.what());
    statuses_.erase(at);
  }
  void act(control::closed&) {
    in_.log.event(name(), "closed");
    closed_ = true;
    check_ended();
    if (book_.calm() && now() > closing_since_ + how_.options.close_within + std::chrono::milliseconds(20))
      book_.violated(name() + " took too long to close");
    end_in_order();
  }
  void settled() {
    if (const std::string wrong = machine_.check(); !wrong.empty()) book_.violated(name() + ": " + wrong);
  }
  void died() override {
    book_.client_gone(id());
    calls_.clear();
  }

  ledger& book_;
  setting how_;
  control::client_state machine_;
  std::map<std::uint64_t, open_call> calls_;
  std::deque<std::uint64_t> waiting_;  ///< to be accepted, in the order of their submission
  std::map<std::uint64_t, std::pair<std::string, named_value>> broadcasts_;
  std::map<std::string, named_value> complete_values_;
  std::map<std::uint64_t, time_point> statuses_;
  time_point heard_{};
  process_id coordinator_ = 0;
  bool closing_ = false;
  bool closed_ = false;
  bool online_ = false;
  bool resumed_ = false;
  bool final_ = false;
  time_point closing_since_{};
  std::uint64_t times_online_ = 0;
  static constexpr duration grace = dtask::coordinator_options().session_grace;
  ended on_end_;
};

}  // namespace harness
