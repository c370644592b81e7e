// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

/// The client is back: it hears which calls have arrived, and gets every result again that it has not acknowledged.
DTASK_INLINE void membership::resume(std::uint32_t s) {
  session_record& r = sessions_[s];
  peer& p = *peers_.find(r.link);
  constexpr std::size_t most = 8192;
  wire::known_calls known;
  known.last = false;
  const std::vector<std::uint32_t> jobs = r.by_call.jobs();
  for (const std::uint32_t j : jobs) {
    known.calls.push_back(jobs_[j].call);
    if (known.calls.size() < most) continue;
    out_.send(p, std::exchange(known, {}));
    known.last = false;
  }
  known.last = true;
  out_.send(p, std::move(known));
  for (const std::uint32_t j : jobs) {
    if (jobs_[j].phase == job_phase::finished) {
      delivery_.send_result(j);
    } else if (jobs_[j].rarely && jobs_[j].rarely->answer) {
      delivery_.forward(j);
    }
  }
}

/// The link to the client is gone; the session waits for it. What had not arrived whole was never accepted: the client
/// sends it again.
DTASK_INLINE void membership::detach_session(std::uint32_t s, peer& p, time_point now) {
  sessions_.detach(s, now);
  p.out.clear([](std::uint64_t) {});
  for (incoming& i : std::exchange(p.in, {})) {
    if (i.what == payload_of::broadcast) {
      sessions_.free_broadcast(i.from->held.size());
      sessions_[s].receiving = 0;
      continue;
    }
    const std::uint32_t j = jobs_.find(i.job);
    if (j == none || jobs_[j].session != s) continue;
    const bool open = jobs_[j].phase != job_phase::finished;
    if (open) lifecycle_.leave(j);
    delivery_.release(j);
    if (open)
      lifecycle_.finish(j,
                        {.code = errc::cancelled, .message = "its arguments did not arrive", .place = "coordinator"});
  }
}

/// The session is over: its open jobs are cancelled, and everything that was kept for it goes.
DTASK_INLINE void membership::end_session(std::uint32_t s, std::string_view why) {
  session_record& r = sessions_[s];
  const std::uint64_t id = sessions_.id(s);
  std::uint64_t open = 0;
  const std::vector<std::uint32_t> calls = sessions_.close(s);
  for (const std::uint32_t j : calls) {
    if (jobs_[j].phase != job_phase::finished) {
      ++open;
      jobs_[j].cancelled = true;
      lifecycle_.leave(j);
    }
    delivery_.drop_answer(j);
    jobs_[j].session = none;
    if (jobs_[j].phase != job_phase::finished) {
      lifecycle_.finish(j, {.code = errc::cancelled, .message = std::string(why), .place = "coordinator"});
    } else {
      jobs_[j].accepted = true;
      delivery_.drop_value(j);
      delivery_.reclaim(j);
    }
  }
  if (open != 0)
    out_.say(log_level::info, "jobs_cancelled", std::to_string(open) + " of " + r.label + ": " + std::string(why));
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    if (!workers_.live(w) || workers_[w].gone) continue;
    worker_record& to = workers_[w];
    to.serves.erase_if([&](const served_session& served) { return served.session == id; });
    // Any worker may have run its jobs. One that is away is told when it comes back, and so is one whose link breaks
    // before it has said that it knows.
    to.ended.push_back(id);
    if (peer* const p = worker_peer(w)) {
      // A value that came after the end would bring the session back there.
      p->out.remove_group(id, {.code = errc::cancelled, .message = "its session is over", .place = "coordinator"},
                          [&](wire::message&& m) { out_.send(*p, std::move(m)); });
      out_.send(*p, wire::end_session{id});
    }
  }
  for (const std::uint16_t t : r.types) types_.release(t);
  sessions_.erase(s);
}

/// A worker came back within its lease: what it still has goes on, what never reached it is placed again, what nobody
/// wants any more is stopped.
DTASK_INLINE void membership::reattach(std::uint32_t w, const wire::hello& m, time_point now) {
  peer& p = *worker_peer(w);
  worker_record& r = workers_[w];
  std::vector<std::uint32_t> lost;
  using running_job = wire::hello::running_job;
  const auto earlier = [](const running_job& a, const running_job& b) {
    return a.job != b.job ? a.job < b.job : a.fence < b.fence;
  };
  std::vector<running_job> named = m.running;  // there may be thousands
  std::sort(named.begin(), named.end(), earlier);
  for (std::uint32_t j = r.jobs.front(); j != none; j = job_list::next(jobs_, j)) {
    const std::uint64_t id = jobs_.id(j);
    const auto at = std::lower_bound(named.begin(), named.end(), running_job{id, jobs_[j].fence, false}, earlier);
    if (at == named.end() || at->job != id || at->fence != jobs_[j].fence) {
      lost.push_back(j);
      continue;
    }
    if (at->started && !jobs_[j].started) lifecycle_.count_started(j);
    if (jobs_[j].phase == job_phase::finished || jobs_[j].cancelled) out_.send(p, wire::stop{id, jobs_[j].fence});
    jobs_.end_recall(j);
  }
  for (const wire::hello::running_job& have : m.running) {
    const std::uint32_t j = jobs_.find(have.job);
    if (j == none || jobs_[j].fence != have.fence || jobs_[j].worker != w || !jobs_[j].attempt_live)
      out_.send(p, wire::stop{have.job, have.fence});
  }
  for (const std::uint32_t j : lost) lifecycle_.given_back(j, now);
  for (const std::uint64_t session : r.ended) out_.send(p, wire::end_session{session});
  distribution_.serve_again(w);
  workers_.reload(w);
}

/// No more jobs for this worker.
DTASK_INLINE void membership::stop_taking(std::uint32_t w, time_point now) {
  if (!workers_.stop_offering(w)) return;
  for (const auto& [type, position] : workers_[w].positions) placement_.type_without_workers(type, now);
}

/// The worker is gone: its jobs are placed again, or end, by their effect class. `died`: jobs that were running are
/// suspected of it.
DTASK_INLINE void membership::lose(std::uint32_t w, const std::string& how, bool died, time_point now) {
  worker_record& r = workers_[w];
  if (r.gone) return;
  if (died)
    out_.say(log_level::warning, "worker_lost",
             r.label + ": " + how + "; it held " + std::to_string(r.jobs.size()) + " jobs, " +
                 std::to_string(r.running) + " of them running");
  r.lease.state = lease_state::lost;
  if (peer* const p = peers_.find(r.link)) {
    for (const incoming& i : std::exchange(p->in, {})) delivery_.drop_arriving(i);
    p->out.clear([](std::uint64_t) {});
  }
  r.link = 0;
  stop_taking(w, now);
  const std::string label = r.label;
  std::vector<std::uint32_t> jobs;
  for (std::uint32_t j = r.jobs.front(); j != none; j = job_list::next(jobs_, j)) jobs.push_back(j);
  // From the newest to the oldest, since each goes to the front of its lane.
  for (auto j = jobs.rbegin(); j != jobs.rend(); ++j) lifecycle_.lost_attempt(*j, label, how, died, now);
  workers_.retire(w);
}

DTASK_INLINE void membership::process_ended(std::uint32_t pid, std::string how, time_point now) {
  workers_.note_process_end(how);
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    worker_record& r = workers_[w];
    if (!workers_.live(w) || r.gone || r.pid != pid || !r.process_end.empty()) continue;
    if (r.link == 0) return lose(w, how, true, now);
    // Which jobs it had started decides who is suspected of its death, and that may still be on the way.
    r.process_end = std::move(how);
    r.link_ends_by = deadline_after(now, last_words_within);
    next_scan_ = std::min(next_scan_, r.link_ends_by);
    return workers_.reload(w);
  }
}

}  // namespace control
DTASK_END
