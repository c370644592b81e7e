// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <string>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE coordinator_state::coordinator_state(const coordinator_options& options, std::uint64_t seed,
                                                  time_point now)
    : random_(seed),
      epoch_(random_.next_key()),
      began_(now),
      tables_(options, epoch_, now),
      membership_(tables_, out_, delivery_, lifecycle_, distribution_, placement_, random_, epoch_, now) {}

// ---- links ----

DTASK_INLINE void coordinator_state::opened(link_id link, std::string address, bool trusted, time_point now) {
  peer_table& peers = tables_.peers;
  peer& p = peers.insert(link, std::move(address), trusted, now);
  if (stopped_) return out_.refuse(p, errc::closed, "the coordinator is shutting down");
  const coordinator_options& options = tables_.options;
  if (peers.size() > options.max_links || peers.strangers() > options.max_strangers)
    out_.refuse(p, errc::overloaded,
                "too many connections: max_links " + std::to_string(options.max_links) + ", without a hello " +
                    std::to_string(options.max_strangers));
}

DTASK_INLINE void coordinator_state::heard(link_id link, time_point now) {
  if (peer* const p = tables_.peers.find(link)) membership_.heard(*p, now);
}

DTASK_INLINE void coordinator_state::received(link_id link, wire::message&& what, time_point now) {
  peer* const p = tables_.peers.find(link);
  if (p == nullptr || p->role == peer_role::closing) return;
  membership_.heard(*p, now);
  if (p->role == peer_role::stranger && what.get_if<wire::hello>() == nullptr)
    return membership_.violation(*p, "something else before its hello");
  what.visit([&](auto& m) { on(*p, std::move(m), now); });
}

DTASK_INLINE void coordinator_state::unsent(link_id link, std::size_t bytes, time_point) {
  peer* const p = tables_.peers.find(link);
  if (p == nullptr) return;
  p->out.set_unsent(bytes);
  if (!p->out.empty()) tables_.peers.touch(*p);
}

// ---- messages ----

DTASK_INLINE bool coordinator_state::comes_from(peer& p, peer_role role) {
  if (p.role == role) return true;
  membership_.violation(
      p, role == peer_role::client ? "a message that only a client sends" : "a message that only a worker sends");
  return false;
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::hello&& m, time_point now) {
  membership_.hello(p, std::move(m), draining_, now);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::goodbye&& m, time_point now) { membership_.goodbye(p, m, now); }
DTASK_INLINE void coordinator_state::on(peer& p, wire::ping&& m, time_point) { out_.send(p, wire::pong{m.stamp}); }
DTASK_INLINE void coordinator_state::on(peer& p, wire::pong&& m, time_point) {
  if (p.role == peer_role::worker) membership_.pong(p, m);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::chunk&& m, time_point now) {
  if (const std::string bad = reception_.chunk(p, std::move(m), now); !bad.empty()) membership_.violation(p, bad);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::abort_transfer&& m, time_point now) {
  reception_.aborted(p, std::move(m), now);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::submit&& m, time_point now) {
  if (!comes_from(p, peer_role::client)) return;
  const std::string_view bad = lifecycle_.submitted(p, std::move(m), draining_, now);
  if (!bad.empty()) membership_.violation(p, bad);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::broadcast&& m, time_point now) {
  if (!comes_from(p, peer_role::client)) return;
  const std::string_view bad = distribution_.offered(p, std::move(m), now);
  if (!bad.empty()) membership_.violation(p, bad);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::cancel&& m, time_point) {
  if (comes_from(p, peer_role::client)) lifecycle_.cancelled(p, m);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::acknowledge&& m, time_point) {
  if (comes_from(p, peer_role::client)) lifecycle_.acknowledged(p, m);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::started&& m, time_point) {
  if (comes_from(p, peer_role::worker)) lifecycle_.started(p, m);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::done&& m, time_point now) {
  if (comes_from(p, peer_role::worker)) lifecycle_.done(p, std::move(m), now);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::returned&& m, time_point now) {
  if (comes_from(p, peer_role::worker)) lifecycle_.returned(p, m, now);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::fetch&& m, time_point) {
  if (comes_from(p, peer_role::worker)) distribution_.fetched(p, std::move(m));
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::blob_done&& m, time_point) {
  if (comes_from(p, peer_role::worker)) distribution_.confirmed(p, m);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::slots&& m, time_point) {
  if (comes_from(p, peer_role::worker)) membership_.slots(p, m);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::usage&& m, time_point) {
  if (comes_from(p, peer_role::worker)) membership_.usage(p, m);
}
DTASK_INLINE void coordinator_state::on(peer& p, wire::drain&&, time_point now) {
  if (comes_from(p, peer_role::worker)) membership_.drain(p, now);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::status_query&& m, time_point now) {
  cluster_status r = report(now);
  // As many workers as a frame of this link holds; the sums are over all of them.
  constexpr std::size_t others = 1024, each = 120 + 16;  // bytes besides their names
  std::size_t size = others, fit = 0;
  for (const worker_status& w : r.workers) {
    size += each + w.name.size() + w.host.size();
    if (size > p.out.limits().frame_body) break;
    ++fit;
  }
  if (fit < r.workers.size())
    out_.say(log_level::warning, "status_cut",
             "the status for " + p.address + " names " + std::to_string(fit) + " of " +
                 std::to_string(r.workers.size()) + " workers: a frame of " +
                 std::to_string(p.out.limits().frame_body) +
                 " bytes holds no more; raise limits.frame_body in the options of coordinator and worker");
  r.workers.resize(fit);
  out_.send(p, wire::status_report{m.request, std::move(r)});
}

// ---- the end of a turn ----

DTASK_INLINE void coordinator_state::take_actions(std::vector<coordinator_action>& out, time_point now) {
  if (!stopped_) {
    placement_.place(now);
    // Flushing one link can give credit to another, so the list may grow while it is walked.
    tables_.peers.end_turn([&](peer& p) { flush(p, now); });
    if (draining_) finish_drain(now);
  }
  out_.take(out);
}

DTASK_INLINE void coordinator_state::flush(peer& p, time_point now) {
  if (p.role == peer_role::closing) return;
  if (p.role == peer_role::worker && tables_.workers[p.index].owed_credit >= tables_.options.result_bytes / 8)
    out_.send(p, wire::credit{tables_.workers.pay(p.index)});
  if (p.role == peer_role::client && tables_.sessions[p.index].owed_credit >= tables_.options.session_bytes / 16)
    out_.send(p, wire::credit{tables_.sessions.pay(p.index)});
  if (!p.out.empty())
    p.out.pump([&](wire::message&& m) { out_.send(p, std::move(m)); },
               [&](std::uint64_t job, std::size_t size, bool) {
                 if (p.role == peer_role::client) delivery_.passed_on(job, size);
               });
  if (p.acks.empty()) return;
  const bool soon = draining_ || (p.role == peer_role::worker && tables_.workers[p.index].draining);
  if (soon || tables_.peers.sent_in_turn(p) || p.acks_due || p.acks.size() >= acknowledge_at_once)
    acknowledge(p);
  else
    acks_at_ = std::min(acks_at_, now + acknowledge_within);
}

DTASK_INLINE void coordinator_state::acknowledge(peer& p) {
  constexpr std::size_t most = acknowledge_in_frame;
  p.acks_due = false;
  const std::vector<std::uint64_t> all = std::exchange(p.acks, {});
  for (std::size_t from = 0; from < all.size(); from += most) {
    wire::acknowledge ack;
    ack.calls.assign(all.begin() + static_cast<std::ptrdiff_t>(from),
                     all.begin() + static_cast<std::ptrdiff_t>(std::min(from + most, all.size())));
    out_.send(p, std::move(ack));
  }
}

// ---- time ----

DTASK_INLINE void coordinator_state::tick(time_point now) {
  if (stopped_) return;
  tables_.jobs.advance(now, [&](std::uint32_t j) { lifecycle_.expired(j, now); });
  placement_.tick(now);
  if (now >= acks_at_) {
    acks_at_ = never;
    for (auto& [link, p] : tables_.peers)
      if (!p->acks.empty()) {
        p->acks_due = true;
        tables_.peers.touch(*p);
      }
  }
  membership_.tick(now);
}

DTASK_INLINE time_point coordinator_state::next_tick() const noexcept {
  if (stopped_) return never;
  return std::min({tables_.jobs.next_time(), membership_.next_time(), placement_.next_time(), acks_at_, drain_until_});
}

// ---- the end ----

DTASK_INLINE void coordinator_state::drain(time_point now) {
  if (draining_ || stopped_) return;
  draining_ = true;
  drain_until_ = deadline_after(now, tables_.options.drain_within);
  out_.say(log_level::info, "draining", std::to_string(tables_.jobs.open()) + " jobs are open");
}

DTASK_INLINE void coordinator_state::finish_drain(time_point now) {
  // Large results may still be on their way to their clients.
  const bool sending = std::any_of(tables_.peers.begin(), tables_.peers.end(), [](const auto& entry) {
    return entry.second->role == peer_role::client && !entry.second->out.empty();
  });
  if ((tables_.jobs.open() == 0 && !sending) || now >= drain_until_) stop(now);
}

DTASK_INLINE void coordinator_state::stop(time_point) {
  if (stopped_) return;
  for (auto& [link, p] : tables_.peers) {
    if (p->role == peer_role::closing) continue;
    if (p->role == peer_role::client) lifecycle_.give_back(*p);
    if (p->role == peer_role::worker && draining_ && tables_.options.send_home) out_.send(*p, wire::drain{});
    out_.send(*p, wire::goodbye{"the coordinator ends"});
    out_.close(*p, error(errc::closed, "the coordinator ends", p->address), false);
  }
  stopped_ = true;
  out_.act(control::stopped{});
}

// ---- what it tells ----

DTASK_INLINE cluster_status coordinator_state::report(time_point now) const {
  const job_table& jobs = tables_.jobs;
  const worker_table& workers = tables_.workers;
  const session_table& sessions = tables_.sessions;
  cluster_status r;
  r.epoch = epoch_;
  r.up = now - began_;
  r.clients = sessions.size();
  r.queued = tables_.ready.size() + jobs.count(job_phase::blocked) + jobs.alone().size();
  r.waiting_retry = jobs.count(job_phase::pausing);
  r.succeeded = jobs.succeeded();
  r.failed = jobs.failed();
  r.cancelled = jobs.cancelled();
  r.placed_again = jobs.placed_again();
  r.payload_bytes = sessions.held_bytes();
  r.payload_limit = tables_.options.queue_bytes;
  r.result_bytes = sessions.result_bytes();
  r.broadcast_bytes = sessions.broadcast_bytes();
  r.broadcast_limit = tables_.options.broadcast_bytes;
  r.memory = measured_;
  r.memory.arguments = sessions.held_bytes();
  r.memory.results = sessions.result_bytes();
  r.memory.broadcasts = sessions.broadcast_bytes();
  for (std::uint32_t w = 0; w < workers.bound(); ++w) {
    if (!workers.live(w) || workers[w].gone) continue;
    r.running += workers[w].running;
    r.assigned += workers[w].jobs.size() - workers[w].running;
    r.workers.push_back(workers.describe(w, now));
  }
  return r;
}

}  // namespace control
DTASK_END
