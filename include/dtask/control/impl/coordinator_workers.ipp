// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: workers, their leases and what they report. Included by coordinator_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void coordinator_state::welcome_worker(peer& p, wire::hello&& m, time_point now) {
  if (m.session != 0 && m.epoch == epoch_) {
    const std::uint32_t w = workers_.find(m.session);
    if (w != none && !workers_[w].gone && workers_[w].key == m.key && workers_[w].positions.size() <= m.jobs.size()) {
      worker_record& r = workers_[w];
      if (peer* const old = peers_.find(r.link)) {
        r.link = 0;
        for (const incoming& i : std::exchange(old->in, {})) drop_arriving(i);
        drop_link(*old, error(errc::closed, "the worker came back on another connection", old->address), true);
      }
      peers_.set_role(p, peer_role::worker, w);
      workers_.attach(w, p.link, now);
      send_welcome(p, m, workers_.id(w), r.key, true, options_.result_bytes, options_.result_bytes);
      say(log_level::info, "worker_back", r.label);
      return reattach(w, m, now);
    }
  }
  std::vector<std::pair<std::uint16_t, std::uint32_t>> positions;
  for (std::uint32_t i = 0; i < m.jobs.size(); ++i) {
    const std::uint32_t t = types_.acquire(m.jobs[i]);
    if (t == none) {
      for (const auto& [type, position] : positions) types_.release(type);
      return refuse(p, errc::overloaded, "the coordinator knows too many job types already");
    }
    if (std::any_of(positions.begin(), positions.end(), [&](const auto& have) { return have.first == t; }))
      types_.release(t);  // named twice
    else
      positions.emplace_back(static_cast<std::uint16_t>(t), i);
  }
  std::sort(positions.begin(), positions.end());
  const std::uint32_t w = workers_.insert(m.host, m.name);
  worker_record& r = workers_[w];
  r.key = random_.next_key();
  r.pid = m.pid;
  r.slots = r.usable = std::min(m.slots, max_slots);
  r.pace.begin(now);
  workers_.attach(w, p.link, now);
  workers_.enrol(w, std::move(positions));
  peers_.set_role(p, peer_role::worker, w);
  send_welcome(p, m, workers_.id(w), r.key, false, options_.result_bytes, options_.result_bytes);
  process_end_.clear();
  say(log_level::info, "worker_joined",
      r.label + " from " + p.address + " with " + std::to_string(r.slots) + " slots and " +
          std::to_string(r.positions.size()) + " jobs");
  for (const std::uint16_t t : r.kind->types) {
    workers_.offer(w, t);
    // Jobs of the same name and another schema that nobody runs can be told why now.
    const std::vector<std::uint32_t> same_name = types_.named(types_[t].name);
    for (const std::uint32_t other : same_name)
      if (other != t) type_without_workers(static_cast<std::uint16_t>(other), now);
  }
  workers_.reload(w);
}

/// A worker came back within its lease: what it still has goes on, what never reached it is placed again, what nobody
/// wants any more is stopped.
DTASK_INLINE void coordinator_state::reattach(std::uint32_t w, const wire::hello& m, time_point now) {
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
    if (at->started && !jobs_[j].started) count_started(j);
    if (jobs_[j].phase == job_phase::finished || jobs_[j].cancelled) emit(p, wire::stop{id, jobs_[j].fence});
    jobs_.end_recall(j);
  }
  for (const wire::hello::running_job& have : m.running) {
    const std::uint32_t j = jobs_.find(have.job);
    if (j == none || jobs_[j].fence != have.fence || jobs_[j].worker != w || !jobs_[j].attempt_live)
      emit(p, wire::stop{have.job, have.fence});
  }
  for (const std::uint32_t j : lost) given_back(j, now);
  for (const std::uint64_t session : r.ended) emit(p, wire::end_session{session});
  // What was not confirmed is said again, and what is never confirmed; the worker skips what it knows.
  for (served_session& served : r.serves)
    for (const cached_value& v : sessions_[sessions_.find(served.session)].broadcasts.values()) {
      if (v.order > served.upto) break;
      const auto unconfirmed = std::find(served.unconfirmed.begin(), served.unconfirmed.end(), v.number);
      if (v.kind == wire::blob_kind::published) {
        tell(p, served, v);
      } else if (unconfirmed != served.unconfirmed.end()) {
        served.unconfirmed.erase(unconfirmed);
        tell(p, served, v);
      }
    }
  workers_.reload(w);
}

/// The job whose live attempt this is, if it comes from the worker that has it, else `none`: a fenced report.
DTASK_INLINE std::uint32_t coordinator_state::attempt(peer& p, std::uint64_t id, std::uint32_t fence) const noexcept {
  const std::uint32_t j = jobs_.find(id);
  return j != none && jobs_[j].attempt_live && jobs_[j].fence == fence && jobs_[j].worker == p.index ? j : none;
}

DTASK_INLINE void coordinator_state::count_started(std::uint32_t j) {
  job& r = jobs_[j];
  workers_.start_attempt(j);
  // It has all its arguments, and they will not be needed for another attempt.
  if (!may_run_again(r.effect_class) && r.phase == job_phase::placed) r.held.clear();
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::started&& m, time_point) {
  if (p.role != peer_role::worker) return violation(p, "a worker's report, without being one");
  const std::uint32_t j = attempt(p, m.job, m.fence);
  if (j == none || jobs_[j].started) return;
  count_started(j);
  report_state(j, wire::job_state::running);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::done&& m, time_point now) {
  if (p.role != peer_role::worker) return violation(p, "a worker's report, without being one");
  const std::uint32_t j = attempt(p, m.job, m.fence);
  worker_record& w = workers_[p.index];
  if (j == none) {  // an old fence: dropped, but acknowledged, so that the worker forgets it
    w.owed_credit += m.value.whole.size();
    p.acks.push_back(m.job);
    return peers_.touch(p);
  }
  if (!jobs_[j].started) {
    drop_run(p, j);
    count_started(j);
  }
  w.pace.done(now);
  ++w.done;
  if (m.value.transfer != 0 &&
      std::all_of(m.value.lengths.begin(), m.value.lengths.end(), [](std::uint64_t length) { return length == 0; })) {
    // Announced, and nothing follows: it is there.
    m.value.whole.blobs.resize(m.value.lengths.empty() ? 0 : m.value.lengths.size() - 1);
    m.value.transfer = 0;
  }
  if (m.value.transfer != 0) {
    auto arriving = make_stream(std::move(m.value.lengths));
    if (jobs_[j].phase == job_phase::finished) {  // only its end matters now
      workers_.end_attempt(j);
      p.acks.push_back(m.job);
      peers_.touch(p);
      return reclaim(j);
    }
    drop_answer(j);
    job& r = jobs_[j];
    if (const peer* const c = r.session == none ? nullptr : peers_.find(sessions_[r.session].link))
      if (const error bad =
              wire::check_payload(arriving->held.lengths.size() - 1, arriving->held.size(), c->out.limits())) {
        p.acks.push_back(m.job);  // what comes of it is thrown away
        peers_.touch(p);
        return answered(j, {bad.code(), {}, "the result, for its client: " + bad.cause(), place_of(j), bad.remedy()},
                        now);
      }
    r.rare().answer = arriving;
    p.in.push_back({m.value.transfer, payload_of::result, m.job, m.fence, {}, arriving});
    if (r.session != none)
      if (peer* const c = peers_.find(sessions_[r.session].link)) {
        wire::result head;
        head.call = r.call;
        head.attempts = r.attempts;
        head.worker = w.label;
        c->out.push(std::move(head), arriving, m.job);
        peers_.touch(*c);
      }
    return;
  }
  p.acks.push_back(m.job);
  peers_.touch(p);
  job& r = jobs_[j];
  const std::uint64_t size = m.value.whole.size();
  if (r.phase == job_phase::finished || m.why.code != errc::ok) {
    w.owed_credit += size;
    return answered(j, std::move(m.why), now);
  }
  r.held.put(std::move(m.value.whole));
  if (r.held.is_large(send_queue::small)) {
    auto from = r.held.as_stream();
    from->owed = size;
    r.held.put(std::move(from));
  } else {
    w.owed_credit += size;
  }
  succeed(j, now);
}

/// The end of an attempt without a value, or of one that nobody waits for.
DTASK_INLINE void coordinator_state::answered(std::uint32_t j, wire::failure&& why, time_point now) {
  workers_.end_attempt(j);
  if (jobs_[j].phase == job_phase::finished) return reclaim(j);
  if (why.place.empty()) why.place = place_of(j);
  leave(j);
  retry(j, std::move(why), now);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::returned&& m, time_point now) {
  if (p.role != peer_role::worker) return violation(p, "a worker's report, without being one");
  const std::uint32_t j = attempt(p, m.job, m.fence);
  if (j == none) return;
  drop_run(p, j);
  given_back(j, now);
}

/// What is left of the arguments of an attempt that has ended on this worker is not sent.
DTASK_INLINE void coordinator_state::drop_run(peer& p, std::uint32_t j) {
  p.out.remove(jobs_.id(j), {errc::cancelled, {}, "the attempt has ended", "coordinator", {}},
               [&](wire::message&& m) { emit(p, std::move(m)); });
}

/// The worker does not have the job and never started it: placing it again is no second attempt.
DTASK_INLINE void coordinator_state::given_back(std::uint32_t j, time_point now) {
  if (jobs_[j].started)
    return lost_attempt(j, workers_[jobs_[j].worker].label, "the worker no longer knows it", false, now);
  workers_.end_attempt(j);
  job& r = jobs_[j];
  if (r.phase == job_phase::finished) return reclaim(j);
  leave(j);
  if (r.cancelled) return finish(j, {errc::cancelled, {}, "cancelled before it ran", {}, {}}, now);
  jobs_.place_again(j);
  enqueue(j, true, now);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::slots&& m, time_point) {
  if (p.role != peer_role::worker) return violation(p, "a worker's report, without being one");
  const worker_record& w = workers_[p.index];
  if (m.lost > w.lost)
    say(log_level::warning, "slot_lost",
        w.label + ": " + std::to_string(m.lost) + " of " + std::to_string(w.slots) +
            " slots are held by jobs that ignore stop");
  workers_.set_slots(p.index, m.usable, m.lost);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::usage&& m, time_point) {
  if (p.role != peer_role::worker) return violation(p, "a worker's report, without being one");
  workers_[p.index].memory = m.now;
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::drain&&, time_point now) {
  if (p.role != peer_role::worker) return violation(p, "a drain, without being a worker");
  worker_record& w = workers_[p.index];
  if (w.draining) return;
  say(log_level::info, "worker_drains", w.label);
  stop_taking(p.index, now);
}

/// No more jobs for this worker.
DTASK_INLINE void coordinator_state::stop_taking(std::uint32_t w, time_point now) {
  if (!workers_.stop_offering(w)) return;
  for (const auto& [type, position] : workers_[w].positions) type_without_workers(type, now);
}

// ---- loss ----

/// The worker is gone: its jobs are placed again, or end, by their effect class. `died`: jobs that were running are
/// suspected of it.
DTASK_INLINE void coordinator_state::lose(std::uint32_t w, const std::string& how, bool died, time_point now) {
  worker_record& r = workers_[w];
  if (r.gone) return;
  if (died)
    say(log_level::warning, "worker_lost",
        r.label + ": " + how + "; it held " + std::to_string(r.jobs.size()) + " jobs, " + std::to_string(r.running) +
            " of them running");
  r.held.state = lease_state::lost;
  if (peer* const p = peers_.find(r.link)) {
    for (const incoming& i : std::exchange(p->in, {})) drop_arriving(i);
    p->out.clear([](std::uint64_t) {});
  }
  r.link = 0;
  stop_taking(w, now);
  const std::string label = r.label;
  std::vector<std::uint32_t> held;
  for (std::uint32_t j = r.jobs.front(); j != none; j = job_list::next(jobs_, j)) held.push_back(j);
  // From the newest to the oldest, since each goes to the front of its lane.
  for (auto j = held.rbegin(); j != held.rend(); ++j) lost_attempt(*j, label, how, died, now);
  workers_.retire(w);
}

DTASK_INLINE void coordinator_state::lost_attempt(std::uint32_t j, const std::string& label, const std::string& how,
                                                  bool died, time_point now) {
  job& r = jobs_[j];
  const bool alone = r.by_itself;
  // Alone on its worker, a job that was not reported in time is a suspect too.
  const bool ran = r.started || (alone && died);
  if (ran && !r.started) ++r.attempts;
  workers_.end_attempt(j);
  if (r.phase == job_phase::finished) return reclaim(j);
  drop_answer(j);
  leave(j);
  if (died && r.losses < 0xff) ++r.losses;
  if (died && ran) {
    if (r.deaths < 0xff) ++r.deaths;
    std::string& history = r.rare().history;
    history.append(history.empty() ? "" : "; ").append(label).append(": ").append(how);
  }
  const std::string at = label + ", attempt " + std::to_string(std::max(r.attempts, 1U));
  if (r.cancelled) return finish(j, {errc::cancelled, {}, "cancelled, and its worker is gone", at, {}}, now);
  if (!may_run_again(r.effect_class)) {
    if (!ran) ++r.attempts;
    return finish(j,
                  {errc::worker_lost,
                   {},
                   "the worker is gone: " + how + "; the job may have run, and may not run twice",
                   at,
                   "make the job idempotent to have it placed again"},
                  now);
  }
  if (alone && r.deaths >= options_.quarantine_after_deaths) {
    say(log_level::error, "quarantined",
        "'" + types_[r.type].name + "' of " +
            (r.session == none ? std::string("a lost client") : sessions_[r.session].label) + ": " + r.rarely->history);
    return finish(j,
                  {errc::quarantined,
                   {},
                   std::to_string(r.deaths) + " workers died while they ran it: " + r.rarely->history,
                   at,
                   "run it by itself under a debugger; the other jobs go on"},
                  now);
  }
  // A job that many workers took with them without ever reporting it as started gets to prove itself too.
  if (r.deaths >= options_.alone_after_deaths || r.losses >= 2 * options_.quarantine_after_deaths) r.by_itself = true;
  if (ran)
    return retry(j, {errc::worker_lost, {}, "the worker is gone: " + how, at, "its host's log and stderr say more"},
                 now);
  jobs_.place_again(j);
  enqueue(j, true, now);
}

DTASK_INLINE void coordinator_state::process_ended(std::uint32_t pid, std::string how, time_point now) {
  process_end_ = how;
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
