// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: what goes out at the end of a batch, time, and the end. Included by
// coordinator_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

// ---- the end of a batch ----

DTASK_INLINE void coordinator_state::pump(peer& p) {
  if (p.role == peer_role::closing) return;
  p.out.pump([&](wire::message&& m) { emit(p, std::move(m)); },
             [&](std::uint64_t key, std::size_t size, bool) {
               if (p.role != peer_role::client) return;
               // Result bytes went on to their client: the worker that sent them may send as many more.
               const std::uint32_t j = jobs_.find(key);
               if (j == none || jobs_[j].worker == none) return;
               const std::shared_ptr<stream>* from = jobs_[j].phase == job_phase::finished ? jobs_[j].held.arriving()
                                                     : jobs_[j].rarely                     ? &jobs_[j].rarely->answer
                                                                                           : nullptr;
               if (from == nullptr || !*from) return;
               const std::uint64_t back = std::min<std::uint64_t>(size, (*from)->owed);
               (*from)->owed -= back;
               worker_record& w = workers_[jobs_[j].worker];
               w.owed_credit += back;
               if (peer* const wp = worker_peer(jobs_[j].worker)) peers_.touch(*wp);
             });
}

DTASK_INLINE void coordinator_state::flush(peer& p, time_point now) {
  if (p.role == peer_role::closing) return;
  if (p.role == peer_role::worker && workers_[p.index].owed_credit >= options_.result_bytes / 8)
    emit(p, wire::credit{std::exchange(workers_[p.index].owed_credit, 0)});
  if (p.role == peer_role::client && sessions_[p.index].owed_credit >= options_.session_bytes / 16)
    emit(p, wire::credit{std::exchange(sessions_[p.index].owed_credit, 0)});
  if (!p.out.empty()) pump(p);
  if (!p.acks.empty()) {
    if (peers_.sent_in_turn(p) || p.acks_due || draining_ ||
        (p.role == peer_role::worker && workers_[p.index].draining) || p.acks.size() >= acknowledge_at_once)
      acknowledge(p);
    else
      acks_at_ = std::min(acks_at_, now + acknowledge_within);
  }
}

DTASK_INLINE void coordinator_state::acknowledge(peer& p) {
  constexpr std::size_t most = acknowledge_in_frame;
  p.acks_due = false;
  const std::vector<std::uint64_t> all = std::exchange(p.acks, {});
  for (std::size_t from = 0; from < all.size(); from += most) {
    wire::acknowledge ack;
    ack.calls.assign(all.begin() + static_cast<std::ptrdiff_t>(from),
                     all.begin() + static_cast<std::ptrdiff_t>(std::min(from + most, all.size())));
    emit(p, std::move(ack));
  }
}

DTASK_INLINE void coordinator_state::take_actions(std::vector<coordinator_action>& out, time_point now) {
  if (!stopped_) {
    place(now);
    // Flushing one link can give credit to another, so the list may grow while it is walked.
    peers_.end_turn([&](peer& p) { flush(p, now); });
    if (draining_) finish_drain(now);
  }
  out.clear();
  out.swap(actions_);
}

// ---- time ----

DTASK_INLINE void coordinator_state::tick(time_point now) {
  if (stopped_) return;
  jobs_.advance(now, [&](std::uint32_t j) { expired(j, now); });
  if (now >= recall_at_) recall_at_ = never;
  if (now >= acks_at_) {
    acks_at_ = never;
    for (auto& [link, p] : peers_)
      if (!p->acks.empty()) {
        p->acks_due = true;
        peers_.touch(*p);
      }
  }
  if (now >= next_scan_) scan(now);
}

DTASK_INLINE time_point coordinator_state::next_tick() const noexcept {
  if (stopped_) return never;
  return std::min({jobs_.next_time(), next_scan_, recall_at_, acks_at_, drain_until_});
}

/// Silence is looked for four times per heartbeat, over all links: what a message costs stays the same whatever the
/// number of peers.
DTASK_INLINE void coordinator_state::scan(time_point now) {
  next_scan_ = now + options_.heartbeat / 4;
  std::vector<std::uint32_t> lost;
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    if (!workers_.live(w) || workers_[w].gone) continue;
    worker_record& r = workers_[w];
    if (peer* const p = r.ended.empty() ? nullptr : worker_peer(w))
      emit(*p, wire::ping{r.ends_confirmed + r.ended.size()});
    if (now >= r.link_ends_by) {
      lost.push_back(w);
      continue;
    }
    next_scan_ = std::min(next_scan_, r.link_ends_by);
    if (!workers_.advance(w, now)) continue;
    if (r.held.state == lease_state::suspect) say(log_level::warning, "worker_suspect", r.label + " is silent");
    if (r.held.state == lease_state::lost) lost.push_back(w);
  }
  for (const std::uint32_t w : lost) {
    const bool was_detached = workers_[w].link == 0;
    if (peer* const p = worker_peer(w))
      drop_link(*p, error(errc::worker_lost, "the worker is silent", workers_[w].label), true);
    lose(w,
         !workers_[w].process_end.empty() ? std::string(workers_[w].process_end)
         : was_detached                   ? "its connection broke and it did not come back"
                                          : "it was silent for too long",
         true, now);
  }
  std::vector<std::uint32_t> over;
  for (std::uint32_t s = 0; s < sessions_.bound(); ++s)
    if (sessions_.live(s) && sessions_[s].link == 0 &&
        now >= deadline_after(sessions_[s].detached_at, options_.session_grace))
      over.push_back(s);
  for (const std::uint32_t s : over) {
    say(log_level::warning, "session_over", sessions_[s].label + " did not come back");
    end_session(s, "its client was lost", now);
  }
  for (auto& [link, p] : peers_) {
    if (p->role == peer_role::stranger && now >= deadline_after(p->opened, options_.hello_within))
      drop_link(*p, error(errc::refused, "no hello within the stated time", p->address), true);
    else if (p->role == peer_role::client && now >= deadline_after(p->heard, options_.lost_after)) {
      detach_session(p->index, *p, now);
      drop_link(*p, error(errc::closed, "the client is silent", p->address), true);
    } else if (p->role == peer_role::observer && now >= deadline_after(p->heard, options_.lost_after))
      drop_link(*p, error(errc::closed, "the observer is silent", p->address), true);
  }
}

// ---- the end ----

DTASK_INLINE void coordinator_state::drain(time_point now) {
  if (draining_ || stopped_) return;
  draining_ = true;
  drain_until_ = deadline_after(now, options_.drain_within);
  say(log_level::info, "draining", std::to_string(jobs_.open()) + " jobs are open");
}

DTASK_INLINE void coordinator_state::finish_drain(time_point now) {
  // Large results may still be on their way to their clients.
  const bool sending = std::any_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    return entry.second->role == peer_role::client && !entry.second->out.empty();
  });
  if ((jobs_.open() == 0 && !sending) || now >= drain_until_) stop(now);
}

/// What no worker has begun is given back (`closed`): its client sends it to the next coordinator, whatever its effect
/// class.
DTASK_INLINE void coordinator_state::give_back_calls(peer& p) {
  const auto refused = [&](std::uint64_t call, std::uint32_t attempts) {
    wire::result end;
    end.call = call;
    end.attempts = attempts;
    end.why = {errc::closed, {}, "the coordinator ended before the job was begun", "coordinator", {}};
    emit(p, std::move(end));
  };
  session_record& r = sessions_[p.index];
  for (const std::uint32_t j : r.by_call.jobs()) {
    const job& each = jobs_[j];
    const bool waits =
        each.phase == job_phase::blocked || each.phase == job_phase::queued || each.phase == job_phase::alone;
    if (waits && each.attempts == 0 && !each.cancelled) refused(each.call, 0);
  }
  for (const std::uint64_t call : std::exchange(r.turned_away, {})) refused(call, 0);
}

DTASK_INLINE void coordinator_state::stop(time_point) {
  if (stopped_) return;
  for (auto& [link, p] : peers_) {
    if (p->role == peer_role::closing) continue;
    if (p->role == peer_role::client) give_back_calls(*p);
    if (p->role == peer_role::worker && draining_ && options_.send_home) emit(*p, wire::drain{});
    emit(*p, wire::goodbye{"the coordinator ends"});
    drop_link(*p, error(errc::closed, "the coordinator ends", p->address), false);
  }
  stopped_ = true;
  actions_.push_back(stopped{});
}

DTASK_INLINE cluster_status coordinator_state::report(time_point now) const {
  cluster_status r;
  r.epoch = epoch_;
  r.up = now - began_;
  r.clients = sessions_.size();
  r.queued = ready_.size() + jobs_.count(job_phase::blocked) + jobs_.alone().size();
  r.waiting_retry = jobs_.count(job_phase::pausing);
  r.succeeded = jobs_.succeeded();
  r.failed = jobs_.failed();
  r.cancelled = jobs_.cancelled();
  r.placed_again = jobs_.placed_again();
  r.payload_bytes = sessions_.held_bytes();
  r.payload_limit = options_.queue_bytes;
  r.result_bytes = sessions_.result_bytes();
  r.broadcast_bytes = sessions_.broadcast_bytes();
  r.broadcast_limit = options_.broadcast_bytes;
  r.memory = measured_;
  r.memory.arguments = sessions_.held_bytes();
  r.memory.results = sessions_.result_bytes();
  r.memory.broadcasts = sessions_.broadcast_bytes();
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    if (!workers_.live(w) || workers_[w].gone) continue;
    r.running += workers_[w].running;
    r.assigned += workers_[w].jobs.size() - workers_[w].running;
    r.workers.push_back(workers_.describe(w, now));
  }
  return r;
}

}  // namespace control
DTASK_END
