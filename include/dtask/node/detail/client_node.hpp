// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/machine_driver.hpp"
#include "dtask/node/detail/mailbox.hpp"
#include "dtask/node/detail/pending_call.hpp"
#include "dtask/node/detail/worker_node.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/wire/one_of.hpp"

DTASK_BEGIN
namespace detail {

/// The client's machine with its link. What callers want comes through a mailbox from any thread; the rest happens on
/// the node's thread.
class client_node final : public client_port,
                          public std::enable_shared_from_this<client_node>,
                          machine_driver<client_node, control::client_state, control::client_action> {
  using base = machine_driver<client_node, control::client_state, control::client_action>;
  friend base;

  struct cancel_call {
    std::shared_ptr<pending_call> call;
  };
  struct begin_close {
    bool now = false;
  };
  using letter = wire::one_of<std::shared_ptr<pending_call>, cancel_call, std::shared_ptr<pending_broadcast>,
                              std::shared_ptr<pending_status>, begin_close>;

 public:
  client_node(net::executor where, control::identity who, const control::client_options& options, dialer dial,
              std::uint64_t seed)
      : base(where, std::move(who), options, seed),
        where_(where),
        dial_(std::move(dial)),
        letters_(std::make_shared<mailbox<letter>>(where)),
        patience_(std::in_place, where) {}

  void start() {
    machine_.start(now());
    settle();
  }

  // ---- from any thread ----

  void submit(std::shared_ptr<pending_call> call) override {
    call->submitted = now();
    const auto kept = call;
    if (!put(std::move(call))) complete_alone(*kept, errc::closed, "the cluster is closed");
  }
  void cancel(std::shared_ptr<pending_call> call) override { put(cancel_call{std::move(call)}); }
  void broadcast(std::shared_ptr<pending_broadcast> value) override {
    const auto kept = value;
    if (put(std::move(value))) return;
    kept->done.set(failure_of(error(errc::closed, "the cluster is closed")));
  }
  void query_status(std::shared_ptr<pending_status> query) override {
    const auto kept = query;
    if (!put(std::move(query))) kept->done.set(result<cluster_status>(error(errc::closed, "the cluster is closed")));
  }
  void close(bool at_once) override {
    if (!put(begin_close{at_once})) closed.set();
  }

  // ---- on the node's thread ----

  memory_use memory() const { return machine_.memory(measure_now()); }
  /// Ends everything at once; open calls end as closed, and the coordinator hears goodbye as far as the link takes it
  /// now.
  void take_down() {
    if (!gone_) {
      machine_.abandon(now());
      settle();
      flush_all();
    }
    silence();
    patience_.reset();
    for (letter& l : letters_->close()) {
      if (auto* call = l.get_if<std::shared_ptr<pending_call>>())
        fail(**call, why_gone_);
      else if (auto* b = l.get_if<std::shared_ptr<pending_broadcast>>())
        (*b)->done.set(failure_of(why_gone_));
      else if (auto* s = l.get_if<std::shared_ptr<pending_status>>())
        (*s)->done.set(result<cluster_status>(why_gone_));
    }
    fail_waiting(why_gone_);
    for (auto& [number, call] : std::exchange(open_, {})) fail(*call, why_gone_);
    for (auto& [number, b] : std::exchange(broadcasts_, {})) b->done.set_in(batch_.wakes, failure_of(why_gone_));
    for (auto& [number, s] : std::exchange(queries_, {}))
      s->done.set_in(batch_.wakes, result<cluster_status>(why_gone_));
    batch_.flush();
    dialing_.reset();
    drop_links();
    closed.set();
  }

 private:
  bool put(letter l) {
    return letters_->put(std::move(l), [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->read_letters();
    });
  }
  static void complete_alone(pending_call& call, errc code, const char* text) {
    call_reply reply;
    reply.why = failure_of(error(code, text));
    completion_batch batch;
    call.complete(std::move(reply), batch);
    batch.flush();
  }

  void read_letters() {
    letters_->take(arrived_);
    for (letter& l : arrived_) l.visit([this](auto& each) { read(each); });
    arrived_.clear();
    settle();
  }
  void read(std::shared_ptr<pending_call>& call) {
    if (gone_) return fail(*call, why_gone_);
    if (waiting_.empty() && machine_.has_room()) return take(std::move(call), now());
    waiting_.push_back(std::move(call));
    watch_waiting();
  }
  void read(cancel_call& c) {
    pending_call& call = *c.call;
    if (call.ended) return;
    if (call.number != 0) {
      machine_.cancel(call.number, now());
      return;
    }
    for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
      if (at->get() != &call) continue;
      waiting_.erase(at);
      break;
    }
    fail(call, error(errc::cancelled, "cancelled before it was sent"));
  }
  void read(std::shared_ptr<pending_broadcast>& b) {
    if (gone_) {
      b->done.set_in(batch_.wakes, failure_of(why_gone_));
      return;
    }
    const std::uint64_t number = b->kind == blob_kind::withdrawn
                                     ? machine_.withdraw(std::move(b->name), now())
                                     : machine_.broadcast(std::move(b->name), std::move(b->value), now(), b->kind);
    broadcasts_.emplace(number, std::move(b));
  }
  void read(std::shared_ptr<pending_status>& s) {
    if (gone_) {
      s->done.set_in(batch_.wakes, result<cluster_status>(why_gone_));
      return;
    }
    queries_.emplace(machine_.query_status(now()), std::move(s));
  }
  void read(begin_close& c) {
    fail_waiting(error(errc::cancelled, "the cluster was closed"));
    if (gone_) return;
    if (c.now)
      machine_.abandon(now());
    else
      machine_.close(now());
  }

  void take(std::shared_ptr<pending_call> call, time_point when) {
    call_form& form = call->request;
    control::call_request request;
    request.type = form.type;
    request.effect_class = form.effect_class;
    request.watch = form.watch;
    request.deadline = remaining(deadline_after(call->submitted, form.deadline), when);
    request.no_worker_after = form.no_worker_after;
    request.retry = form.retry;
    request.arguments = std::move(form.arguments);
    call->number = machine_.submit(std::move(request), when);
    call->state.store(job_state::queued, std::memory_order_relaxed);
    call->accepted(batch_);
    open_.emplace(call->number, std::move(call));
  }
  void fail_waiting(const error& why) {
    for (auto& call : std::exchange(waiting_, {})) fail(*call, why);
  }
  void fail(pending_call& call, const error& why) {
    if (std::exchange(call.ended, true)) return;
    call_reply reply;
    reply.why = failure_of(why);
    call.state.store(job_state::finished, std::memory_order_relaxed);
    call.complete(std::move(reply), batch_);
  }
  /// Calls for which there is no room yet keep their deadlines too.
  void watch_waiting() {
    if (watching_ || waiting_.empty() || !patience_) return;
    watching_ = true;
    patience_->expires_after(std::chrono::milliseconds(100));
    net::wait(*patience_, [weak = weak_from_this()](const boost::system::error_code& ec) {
      const auto self = weak.lock();
      if (ec || !self) return;
      self->watching_ = false;
      const time_point when = now();
      std::erase_if(self->waiting_, [&](const std::shared_ptr<pending_call>& call) {
        if (deadline_after(call->submitted, call->request.deadline) > when) return false;
        self->fail(*call, error(errc::deadline_exceeded, "its deadline passed before there was room to send it"));
        return true;
      });
      self->watch_waiting();
      self->settle();
    });
  }

  void perform(control::dial&) {
    dialing_ = dial_([weak = weak_from_this()](result<std::unique_ptr<net::link>> made) {
      if (const auto self = weak.lock()) self->dialed(std::move(made));
    });
  }
  void dialed(result<std::unique_ptr<net::link>> made) {
    net::post(where_, [done = std::move(dialing_)] {});
    if (!made) {
      machine_.dial_failed(made.error(), now());
      return settle();
    }
    const control::link_id id = attach(std::move(made).value());
    machine_.connected(id, now());
    base::start(id);
    settle();
  }
  void perform(control::online&) { connected.set_in(batch_.wakes, error()); }
  void perform(control::offline& a) {
    connected.set_in(batch_.wakes, a.why);
    if (!a.final) return;
    gone_ = true;
    why_gone_ = a.why;
    // The machine completes what it was given; it never has room for these.
    fail_waiting(why_gone_);
  }
  void perform(control::complete& a) {
    const auto at = open_.find(a.call);
    if (at == open_.end()) return;
    const std::shared_ptr<pending_call> call = std::move(at->second);
    open_.erase(at);
    call->ended = true;
    call->state.store(job_state::finished, std::memory_order_relaxed);
    call->complete({std::move(a.why), std::move(a.value), a.attempts, std::move(a.worker)}, batch_);
  }
  void perform(control::call_changed& a) {
    const auto at = open_.find(a.call);
    if (at != open_.end()) at->second->state.store(a.now, std::memory_order_relaxed);
  }
  void perform(control::broadcast_complete& a) {
    const auto at = broadcasts_.find(a.number);
    if (at == broadcasts_.end()) return;
    at->second->done.set_in(batch_.wakes, std::move(a.why));
    broadcasts_.erase(at);
  }
  void perform(control::status_arrived& a) {
    const auto at = queries_.find(a.request);
    if (at == queries_.end()) return;
    if (a.why)
      at->second->done.set_in(batch_.wakes, result<cluster_status>(a.why));
    else
      at->second->done.set_in(batch_.wakes, result<cluster_status>(std::move(a.report)));
    queries_.erase(at);
  }
  void perform(control::room&) {}  // it is asked after every event
  void perform(control::closed&) {
    gone_ = true;
    finished_ = true;
    fail_waiting(why_gone_);
  }

  void settled() {
    batch_.flush();
    if (!waiting_.empty() && machine_.has_room()) {
      const time_point when = now();
      do {
        auto call = std::move(waiting_.front());
        waiting_.pop_front();
        take(std::move(call), when);
      } while (!waiting_.empty() && machine_.has_room());
      return settle();
    }
    if (finished_ && links() == 0) {
      silence();
      closed.set();
    }
  }

  net::executor where_;
  dialer dial_;
  std::shared_ptr<void> dialing_;
  std::shared_ptr<mailbox<letter>> letters_;
  std::optional<boost::asio::basic_waitable_timer<clock_type, boost::asio::wait_traits<clock_type>, net::executor>>
      patience_;
  std::vector<letter> arrived_;
  std::deque<std::shared_ptr<pending_call>> waiting_;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_call>> open_;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_broadcast>> broadcasts_;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_status>> queries_;
  completion_batch batch_;
  bool watching_ = false;
  bool gone_ = false;
  error why_gone_{errc::closed, "the cluster is closed"};  // and what is said of whatever comes then
  bool finished_ = false;
};

}  // namespace detail
DTASK_END
