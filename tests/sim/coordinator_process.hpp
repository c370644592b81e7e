// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/control/coordinator_state.hpp"
#include "dtask/control/machine_driver.hpp"
#include "dtask/control/options.hpp"
#include "dtask/sim/process.hpp"
#include "ledger.hpp"
#include "virtual_job.hpp"

namespace harness {

using namespace dtask;
using namespace dtask::sim;

/// A coordinator's process: the real state machine, and the books of what it promises to whom.
class coordinator_process final : public control::machine_driver<coordinator_process, control::coordinator_state,
                                                                 control::coordinator_action, process> {
  friend driver;

 public:
  coordinator_process(world& in, ledger& book, host_id host, const control::coordinator_options& options)
      : driver(in, host, "coordinator", options.limits),
        book_(book),
        options_(with_digest(options)),
        machine_(options_, in.chance.next(), in.clock.now()) {
    in_.net.listen(host, [this](const network::end& end) {
      when_awake(
          [this, end] {
            const control::link_id link = attach(end);
            machine_.opened(link, end->peer(), false, now());
            begin(link);
            settle();
          },
          [end] { end->process_died(true); });  // its system closes what it has not taken
    });
    in_.log.event(name(), "start", id());
    settle();
  }

  void process_ended(std::uint32_t pid, const std::string& how) {
    when_awake([this, pid, how] {
      machine_.process_ended(pid, how, now());
      settle();
    });
  }
  /// Called whenever a worker reports a failed attempt, with the worker's process, after the machine was told.
  void on_failure(std::function<void(process_id)> what) { on_failure_ = std::move(what); }
  /// Called whenever a payload begins to arrive in pieces, with its sender's process: a client's broadcast, or the
  /// result of a worker (`result`), after the machine was told.
  void on_transfer(std::function<void(process_id, bool result)> what) { on_transfer_ = std::move(what); }
  void drain() {
    when_awake([this] {
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
  bool stopped() const noexcept { return stopped_; }
  cluster_status report() const { return machine_.report(now()); }
  const control::coordinator_options& options() const noexcept { return options_; }

  /// How many turns there are from one look at the whole machine to the next.
  void check_every(unsigned turns) noexcept { check_every_ = turns; }
  /// What the machine says about itself against its limits and against the books.
  void check() {
    if (const std::string wrong = machine_.check(); !wrong.empty()) book_.violated(name() + ": " + wrong);
    const cluster_status r = report();
    if (r.payload_bytes > options_.queue_bytes)
      book_.violated(name() + " holds " + std::to_string(r.payload_bytes) + " bytes of jobs, over its limit of " +
                     std::to_string(options_.queue_bytes));
    if (r.broadcast_bytes > options_.broadcast_bytes)
      book_.violated(name() + " holds " + std::to_string(r.broadcast_bytes) + " bytes of broadcasts, over its limit");
    for (const worker_status& w : r.workers)
      if (w.running > w.slots)
        book_.violated(name() + " counts " + std::to_string(w.running) + " running jobs on " + std::to_string(w.slots) +
                       " slots");
  }
  /// Nothing is left of any job, session or broadcast.
  void check_empty() {
    const cluster_status r = report();
    if (r.queued + r.assigned + r.running + r.waiting_retry != 0)
      book_.violated(name() + " still has jobs: " + std::to_string(r.queued) + " queued, " +
                     std::to_string(r.assigned) + " assigned, " + std::to_string(r.running) + " running, " +
                     std::to_string(r.waiting_retry) + " waiting");
    if (r.payload_bytes + r.result_bytes != 0)
      book_.violated(name() + " still holds " + std::to_string(r.payload_bytes + r.result_bytes) + " bytes of jobs");
    if (r.broadcast_bytes != 0)
      book_.violated(name() + " still holds " + std::to_string(r.broadcast_bytes) + " bytes of broadcasts");
    if (r.clients != 0) book_.violated(name() + " still has " + std::to_string(r.clients) + " clients");
  }

 private:
  struct peer_book {
    wire::hello said;
    std::uint64_t session = 0;
    bool welcome = false;
    /// Results that are on their way in chunks. They count once the last byte was sent: what is cut short is void.
    struct partial {
      std::uint64_t call = 0;
      std::uint64_t left = 0;
    };
    std::map<std::uint64_t, partial> results;
    /// Arguments that are on their way in chunks. Without the last byte of them the call was not accepted.
    std::map<std::uint64_t, partial> arguments;
    /// Attempts whose arguments go to this worker in chunks.
    struct sent_run {
      std::uint64_t job = 0;
      std::uint32_t fence = 0;
      bool given_back = false;
    };
    std::map<std::uint64_t, sent_run> runs;
    bool resumed = false;
  };

  static control::coordinator_options with_digest(control::coordinator_options o) {
    o.digest = &digest_of;
    return o;
  }
  void receive(control::link_id link, wire::message&& m) {
    peer_book& p = peers_[link];
    if (const auto* said = m.get_if<wire::hello>())
      p.said = *said;
    else if (const auto* submit = m.get_if<wire::submit>())
      accept(p, *submit);
    else if (const auto* piece = m.get_if<wire::chunk>())
      count_arguments(p, *piece);
    else if (const auto* cut = m.get_if<wire::abort_transfer>())
      p.arguments.erase(cut->transfer);
    else if (const auto* done = m.get_if<wire::done>())
      book_.lease_ended(id(), done->job, done->fence, true);
    else if (const auto* back = m.get_if<wire::returned>()) {
      book_.lease_ended(id(), back->job, back->fence, false);
      for (auto& [transfer, sent] : p.runs)
        if (sent.job == back->job && sent.fence == back->fence) sent.given_back = true;
    } else if (m.get_if<wire::drain>() != nullptr)
      book_.worker_drains(id(), p.session);
    const auto* const end = m.get_if<wire::done>();
    const process_id failed_at = end != nullptr && end->why.code != errc::ok ? p.said.pid : 0;
    const auto* const value = m.get_if<wire::broadcast>();
    const bool in_pieces =
        (end != nullptr && end->value.transfer != 0) || (value != nullptr && value->value.transfer != 0);
    const process_id sender = in_pieces ? p.said.pid : 0;
    const bool result = end != nullptr;
    driver::receive(link, std::move(m));
    if (sender != 0 && on_transfer_) on_transfer_(sender, result);
    if (failed_at != 0 && on_failure_) on_failure_(failed_at);
  }
  void lose(control::link_id link, const error& why) {
    forget(link);
    driver::lose(link, why);
  }
  void sees_closing(const control::close_link& a) { forget(a.link); }
  void each_link(const std::function<void(virtual_link&)>& f) override { driver::each_link(f); }
  std::shared_ptr<void> drop_links() override { return take_links(); }
  void sees_sent(control::link_id link, const wire::message& m) {
    peer_book& p = peers_[link];
    if (const auto* w = m.get_if<wire::welcome>())
      greet(p, *w);
    else if (const auto* run = m.get_if<wire::run>()) {
      book_.lease_granted(id(), p.session, run->job, run->fence, run->effect_class);
      if (run->arguments.transfer != 0) p.runs[run->arguments.transfer] = {run->job, run->fence, false};
    } else if (const auto* stop = m.get_if<wire::stop>())
      book_.lease_ended(id(), stop->job, stop->fence, false);
    else if (const auto* result = m.get_if<wire::result>())
      count_result(p, link, *result);
    else if (const auto* piece = m.get_if<wire::chunk>())
      count_chunk(p, link, *piece);
    else if (const auto* cut = m.get_if<wire::abort_transfer>()) {
      p.results.erase(cut->transfer);
      p.runs.erase(cut->transfer);
    }
  }
  void accept(peer_book& p, const wire::submit& m) {
    book_.accepted(id(), p.session, m.call);
    std::uint64_t total = 0;
    for (const std::uint64_t length : m.arguments.lengths) total += length;
    if (m.arguments.transfer != 0 && total != 0) p.arguments[m.arguments.transfer] = {m.call, total};
  }
  void count_arguments(peer_book& p, const wire::chunk& piece) {
    const auto at = p.arguments.find(piece.transfer);
    if (at == p.arguments.end()) return;  // of a result or a broadcast
    at->second.left -= piece.data.size();
    if (at->second.left == 0) p.arguments.erase(at);
  }
  void count_result(peer_book& p, control::link_id link, const wire::result& r) {
    std::uint64_t total = 0;
    for (const std::uint64_t length : r.value.lengths) total += length;
    if (r.value.transfer == 0 || total == 0)
      book_.result_sent(id(), p.session, r.call, link, r.why.code, !p.resumed);
    else
      p.results[r.value.transfer] = {r.call, total};
  }
  void count_chunk(peer_book& p, control::link_id link, const wire::chunk& piece) {
    if (const auto run = p.runs.find(piece.transfer); run != p.runs.end() && run->second.given_back)
      book_.violated(name() + " sends on the arguments of job " + std::to_string(run->second.job) +
                     ", which was given back");
    const auto at = p.results.find(piece.transfer);
    if (at == p.results.end()) return;  // of a job or a broadcast
    at->second.left -= piece.data.size();
    if (at->second.left != 0) return;
    book_.result_sent(id(), p.session, at->second.call, link, errc::ok);
    p.results.erase(at);
  }
  void greet(peer_book& p, const wire::welcome& w) {
    book_.coordinator_known(w.epoch, id());
    p.session = w.session;
    p.welcome = true;
    p.resumed = w.resumed;
    if (p.said.role == wire::role::client) book_.session_of(id(), w.session, p.said.pid);
    if (p.said.role != wire::role::worker) return;
    book_.worker_known(id(), w.session, p.said.slots, options_.prefetch_max);
    book_.worker_serves(id(), w.session, p.said.jobs);
    if (!w.resumed) {
      if (book_.coordinator_of(p.said.epoch) == id()) book_.leases_void(id(), p.said.session);
      return;
    }
    for (const wire::hello::running_job& r : p.said.running) book_.lease_kept(id(), w.session, r.job, r.fence);
  }
  void forget(control::link_id link) {
    const auto at = peers_.find(link);
    if (at == peers_.end()) return;
    for (const auto& [transfer, part] : at->second.arguments) book_.not_accepted(id(), at->second.session, part.call);
    // A worker that came back on another link has taken its leases along.
    if (at->second.welcome && at->second.said.role == wire::role::worker) {
      bool moved = false;
      for (const auto& [other, p] : peers_)
        moved = moved ||
                (other > link && p.welcome && p.said.role == wire::role::worker && p.session == at->second.session);
      if (!moved) {
        book_.link_of_worker_gone(id(), at->second.session);
        book_.worker_leaves(id(), at->second.session);
      }
    }
    peers_.erase(at);
  }
  void act(control::stopped&) {
    stopped_ = true;
    in_.log.event(name(), "stopped");
    in_.net.unlisten(host());
    end_in_order();
  }
  void settled() {
    if (++turns_ < check_every_) return;
    turns_ = 0;
    check();
  }
  void died() override {
    in_.net.unlisten(host());
    book_.coordinator_fell();
  }

  ledger& book_;
  const control::coordinator_options options_;
  control::coordinator_state machine_;
  std::map<control::link_id, peer_book> peers_;
  std::function<void(process_id)> on_failure_;
  std::function<void(process_id, bool)> on_transfer_;
  bool stopped_ = false;
  unsigned check_every_ = 1;
  unsigned turns_ = 0;
};

}  // namespace harness
