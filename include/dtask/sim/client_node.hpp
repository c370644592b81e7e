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

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/control/options.hpp"
#include "dtask/sim/process.hpp"
#include "dtask/sim/virtual_job.hpp"

DTASK_BEGIN
namespace sim {

/// A client's process: the real state machine, and the books of what it was promised.
class client_node final : public process<control::client_action> {
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
  using ended = std::function<void(const call_record&, const control::complete&)>;

  client_node(world& in, host_id host, const setting& how)
      : process(in, host, how.name + std::to_string(in.last_process + 1)),
        how_(with_digest(how)),
        machine_(who(), how_.options, in.chance.next()) {
    in_.log.event(name(), "start", id());
    machine_.start(now());
    settle();
  }

  /// Makes the call, or keeps it until there is room.
  void call(wish what) {
    when_awake([this, what = std::move(what)] {
      if (closing_ || final_) return;
      if (!waiting_.empty() || !machine_.has_room()) {
        waiting_.push_back(what);
        return;
      }
      submit(what);
      settle();
    });
  }
  void cancel(std::uint64_t call_number) {
    when_awake([this, call_number] {
      if (!calls_.contains(call_number)) return;
      in_.log.event(name(), "cancel", call_number);
      in_.book.cancelled(id(), call_number);
      machine_.cancel(call_number, now());
      settle();
    });
  }
  void broadcast(const std::string& blob, std::size_t size, blob_kind kind = blob_kind::broadcast) {
    when_awake([this, blob, size, kind] {
      if (closing_ || final_) return;
      const std::uint64_t number = in_.book.next_broadcast(id(), blob);
      const std::uint64_t request = kind == blob_kind::withdrawn
                                        ? machine_.withdraw(blob, now())
                                        : machine_.broadcast(blob, broadcast_value(number, size), now(), kind);
      in_.log.event(name(), kind == blob_kind::withdrawn ? "withdraw" : "broadcast", request, number, size,
                    blob.substr(0, 40));
      if (!broadcasts_.insert({request, {blob, {number, kind}}}).second)
        in_.book.violated(name() + " gave a number of a broadcast twice");
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
      waiting_.clear();
      in_.book.client_closing(id());
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
  std::size_t open() const noexcept { return calls_.size() + waiting_.size(); }
  std::size_t open_broadcasts() const noexcept { return broadcasts_.size(); }
  const control::client_options& options() const noexcept { return how_.options; }
  void on_end(ended f) { on_end_ = std::move(f); }

  /// What must hold whenever the client waits for nothing.
  void check_ended() {
    if (!calls_.empty()) in_.book.violated(name() + " still has " + std::to_string(calls_.size()) + " calls");
    if (!broadcasts_.empty())
      in_.book.violated(name() + " still has " + std::to_string(broadcasts_.size()) + " broadcasts");
    if (!statuses_.empty())
      in_.book.violated(name() + " still has " + std::to_string(statuses_.size()) + " status requests");
  }

 private:
  struct open_call {
    bool watch = false;
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
    call_record record;
    record.job = what.job;
    record.job.id = in_.book.next_job();
    record.client = id();
    record.effect_class = what.effect_class;
    record.cannot_run = what.cannot_run;
    record.deadline = what.deadline;
    record.no_worker_after = what.no_worker_after;
    record.type = how_.jobs[what.type];
    record.retry = what.retry;
    record.offline = !online_ && times_online_ != 0;
    record.values = complete_values_;
    control::call_request request;
    request.type = what.type;
    request.effect_class = what.effect_class;
    request.watch = what.watch;
    request.deadline = what.deadline;
    request.no_worker_after = what.no_worker_after;
    request.retry = what.retry;
    request.arguments = encode(record.job);
    const std::uint64_t number = machine_.submit(std::move(request), now());
    in_.log.event(name(), "call", number, record.job.id, static_cast<std::uint64_t>(what.job.does),
                  to_string(what.effect_class));
    record.call = number;
    if (!calls_.insert({number, {what.watch, 0, 0}}).second)
      in_.book.violated(name() + " gave a number of a call twice");
    in_.book.submitted(std::move(record));
    if (what.cancel_after != no_deadline) in_.clock.call_after(what.cancel_after, [this, number] { cancel(number); });
  }

  void link_received(control::link_id link_number, wire::message&& m) override {
    if (const auto* w = m.get_if<wire::welcome>()) {
      coordinator_ = in_.book.coordinator_of(w->epoch);
      in_.book.welcomed(id(), coordinator_, w->session);
    }
    heard_ = now();
    machine_.received(link_number, std::move(m), now());
  }
  void link_closed(control::link_id link_number, const error& why) override {
    machine_.closed(link_number, why, now());
  }
  void link_unsent(control::link_id link_number, std::size_t bytes) override {
    machine_.unsent(link_number, bytes, now());
  }
  void link_heard(control::link_id link) override { machine_.heard(link, now()); }
  void tick() override { machine_.tick(now()); }
  time_point next_tick() const override { return machine_.next_tick(); }
  void take_actions(std::vector<control::client_action>& out) override { machine_.take_actions(out, now()); }
  void sees_sent(control::link_id, const wire::message& m) override {
    if (const auto* submitted = m.get_if<wire::submit>()) in_.book.sent(id(), submitted->call, coordinator_);
  }
  void carry_out(control::client_action& what) override {
    what.visit([this](auto& a) { this->act(a); });
  }
  template <class Common>
  void act(Common& a) {
    carry(a);
  }
  void act(control::dial&) {
    this->dial(how_.coordinator, [this](network::end end, const error& why) {
      if (end)
        machine_.connected(adopt(end, how_.options.limits), now());
      else
        machine_.dial_failed(why, now());
      settle();
    });
  }
  void act(control::online& a) {
    in_.log.event(name(), "online", a.resumed);
    online_ = true;
    resumed_ = a.resumed;
    ++times_online_;
  }
  void act(control::offline& a) {
    in_.log.event(name(), "offline", a.final, static_cast<std::uint64_t>(a.why.code()), 0, a.why.what());
    online_ = false;
    if (a.final && a.why.code() != errc::unreachable)
      in_.book.violated(name() + " was refused by its own coordinator: " + a.why.what());
    final_ = final_ || a.final;
  }
  void act(control::complete& a) {
    in_.log.event(name(), "complete", a.call, static_cast<std::uint64_t>(a.why.code), a.attempts, a.why.message);
    if (closed_) in_.book.violated(name() + " completed a call after it was closed");
    calls_.erase(a.call);
    in_.book.completed(id(), a, how_.options, now() - heard_);
    if (on_end_)
      if (const call_record* c = in_.book.call_of(id(), a.call)) on_end_(*c, a);
  }
  void act(control::call_changed& a) {
    const auto at = calls_.find(a.call);
    if (at == calls_.end())
      return in_.book.violated(name() + " reports a state of call " + std::to_string(a.call) + ", which is over");
    if (!at->second.watch)
      in_.book.violated(name() + " reports a state of call " + std::to_string(a.call) + ", which nobody watches");
    if (a.attempt < at->second.attempt && coordinator_ == at->second.under)
      in_.book.violated(name() + " counts attempts backwards");
    at->second.under = coordinator_;
    at->second.attempt = a.attempt;
  }
  void act(control::broadcast_complete& a) {
    const auto at = broadcasts_.find(a.number);
    if (at == broadcasts_.end())
      return in_.book.violated(name() + " completed a broadcast twice, or one that it never made");
    in_.log.event(name(), "broadcast end", a.number, static_cast<std::uint64_t>(a.why.code), 0, a.why.message);
    if (a.why.code == errc::ok) {
      named_value& newest = complete_values_[at->second.first];
      if (at->second.second.number > newest.number) newest = at->second.second;
    } else if (at->second.first.size() > control::max_broadcast_name) {
      if (a.why.code != errc::too_large && in_.book.calm() && !closing_)
        in_.book.violated(name() + " failed to broadcast under a name that is too long: " + a.why.message);
    } else if (in_.book.calm() && !closing_ && !(a.why.code == errc::too_large && in_.book.overload_allowed())) {
      in_.book.violated(name() + " failed to broadcast: " + a.why.message);
    }
    broadcasts_.erase(at);
  }
  void act(control::room&) {
    room_told_ = true;
    // Not from inside the machine's own turn.
    in_.clock.call_after(duration::zero(), [this] {
      when_awake([this] {
        room_told_ = false;
        while (!waiting_.empty() && !closing_ && machine_.has_room()) {
          const wish next = std::move(waiting_.front());
          waiting_.pop_front();
          submit(next);
        }
        settle();
      });
    });
  }
  void act(control::status_arrived& a) {
    const auto at = statuses_.find(a.request);
    if (at == statuses_.end()) return in_.book.violated(name() + " answered a status request twice");
    if (in_.book.calm() && in_.book.fast() && a.why && !closing_)
      in_.book.violated(name() + " got no status: " + a.why.what());
    statuses_.erase(at);
  }
  void act(control::closed&) {
    in_.log.event(name(), "closed");
    closed_ = true;
    check_ended();
    if (in_.book.calm() && now() > closing_since_ + how_.options.close_within + std::chrono::milliseconds(20))
      in_.book.violated(name() + " took too long to close");
    end_in_order();
  }
  void turn_ended() override {
    if (const std::string wrong = machine_.check(); !wrong.empty()) in_.book.violated(name() + ": " + wrong);
    if (!waiting_.empty() && !closing_ && !final_ && !room_told_ && machine_.has_room())
      in_.book.violated(name() + " lets " + std::to_string(waiting_.size()) + " calls wait though it has room");
  }
  void died() override {
    in_.book.client_gone(id());
    calls_.clear();
    waiting_.clear();
  }

  setting how_;
  control::client_state machine_;
  std::map<std::uint64_t, open_call> calls_;
  std::deque<wish> waiting_;
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
  bool room_told_ = false;  ///< and what waits has not been submitted yet
  time_point closing_since_{};
  std::uint64_t times_online_ = 0;
  ended on_end_;
};

}  // namespace sim
DTASK_END
