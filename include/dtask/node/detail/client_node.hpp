// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/failure.hpp"
#include "dtask/base/result.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/net/link.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/dialing_driver.hpp"
#include "dtask/node/detail/mailbox.hpp"
#include "dtask/node/detail/pending_call.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/wire/one_of.hpp"

DTASK_BEGIN
namespace detail {

/// The client's machine with its link. What callers want comes through a mailbox from any thread; the rest happens on
/// the node's thread.
class client_node final : public client_port,
                          public std::enable_shared_from_this<client_node>,
                          dialing_driver<client_node, control::client_state, control::client_action> {
  using base = dialing_driver<client_node, control::client_state, control::client_action>;
  friend base;
  friend base::driver;

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
      : base(where, std::move(dial)),
        machine_(std::move(who), options, seed),
        letters_(std::make_shared<mailbox<letter>>(where)) {}

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
    kept->done.set(failure{.code = errc::closed, .message = "the cluster is closed"});
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
    machine_.abandon(now());
    settle();
    // The machine answers what comes too late as well.
    for (letter& l : letters_->close()) l.visit([this](auto& each) { read(each); });
    settle();
    flush_links();
    silence();
    stop_dialing();
    take_links();
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
    reply.why = {.code = code, .message = text};
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
    call->number = machine_.submit(std::move(call->request), call->submitted);
    open_.emplace(call->number, std::move(call));
  }
  void read(cancel_call& c) {
    if (c.call->number != 0) machine_.cancel(c.call->number, now());
  }
  void read(std::shared_ptr<pending_broadcast>& b) {
    const std::uint64_t number = b->kind == blob_kind::withdrawn
                                     ? machine_.withdraw(std::move(b->name), now())
                                     : machine_.broadcast(std::move(b->name), std::move(b->value), now(), b->kind);
    broadcasts_.emplace(number, std::move(b));
  }
  void read(std::shared_ptr<pending_status>& s) { queries_.emplace(machine_.query_status(now()), std::move(s)); }
  void read(begin_close& c) {
    if (c.now)
      machine_.abandon(now());
    else
      machine_.close(now());
  }

  using base::act;
  void act(control::online&) { connected.set_in(batch_.wakes, error()); }
  void act(control::offline& a) { connected.set_in(batch_.wakes, a.why); }
  void act(control::accepted& a) {
    const auto at = open_.find(a.call);
    if (at == open_.end()) return;
    at->second->state.store(job_state::queued, std::memory_order_relaxed);
    at->second->accepted(batch_);
  }
  void act(control::complete& a) {
    const auto at = open_.find(a.call);
    if (at == open_.end()) return;
    const std::shared_ptr<pending_call> call = std::move(at->second);
    open_.erase(at);
    call->state.store(job_state::finished, std::memory_order_relaxed);
    call->complete({std::move(a.why), std::move(a.value), a.attempts, std::move(a.worker)}, batch_);
  }
  void act(control::call_changed& a) {
    const auto at = open_.find(a.call);
    if (at != open_.end()) at->second->state.store(a.now, std::memory_order_relaxed);
  }
  void act(control::broadcast_complete& a) {
    const auto at = broadcasts_.find(a.number);
    if (at == broadcasts_.end()) return;
    at->second->done.set_in(batch_.wakes, std::move(a.why));
    broadcasts_.erase(at);
  }
  void act(control::status_arrived& a) {
    const auto at = queries_.find(a.request);
    if (at == queries_.end()) return;
    if (a.why)
      at->second->done.set_in(batch_.wakes, result<cluster_status>(a.why));
    else
      at->second->done.set_in(batch_.wakes, result<cluster_status>(std::move(a.report)));
    queries_.erase(at);
  }
  void act(control::closed&) { finished_ = true; }

  void settled() {
    batch_.flush();
    if (finished_ && links() == 0) {
      silence();
      closed.set();
    }
  }

  control::client_state machine_;
  std::shared_ptr<mailbox<letter>> letters_;
  std::vector<letter> arrived_;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_call>> open_;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_broadcast>> broadcasts_;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_status>> queries_;
  completion_batch batch_;
  bool finished_ = false;
};

}  // namespace detail
DTASK_END
