// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void placement::place(time_point now) {
  if (sessions_.result_bytes() >= options_.queue_bytes) return;
  if (!jobs_.alone().empty()) place_alone(now);
  while (ready_.size() != 0) {
    const match best = next();
    if (best.job == none) break;
    const std::uint16_t t = jobs_[best.job].type;
    lane& served = sessions_[jobs_[best.job].session].lanes[jobs_[best.job].position];
    const bool last_of_lane = served.jobs.size() == 1;
    lifecycle_.leave(best.job);
    // A lane that has run empty has left the ring, and with it the turn has passed on.
    if (!last_of_lane) ready_.rotate(t);
    sessions_.take_turn(served);
    dispatch(best.job, best.worker, now);
  }
  if (workers_.idle() != 0 && workers_.backlog() != 0) call_back(now);
}

DTASK_INLINE placement::turn placement::turn_of(std::uint16_t t) const noexcept {
  const lane& first = *types_[t].ring;
  return {sessions_[first.session].turn, first.turn};
}

/// The first job of the type's round.
DTASK_INLINE placement::match placement::head_of(std::uint16_t t) const noexcept {
  match m;
  m.job = types_[t].ring->jobs.front();
  m.at = turn_of(t);
  m.worker = least_loaded(t, m.level);
  m.waits = m.worker != none && m.level >= worker_class::busy && jobs_[m.job].effect_class == effect::at_most_once;
  return m;
}

/// The job whose turn it is, of those that a worker takes now.
DTASK_INLINE placement::match placement::next() const noexcept {
  match best;
  bool some_wait = false;
  for (const std::uint16_t t : ready_.active()) {
    // Those whose turn comes later need no worker: neither are they it, nor may they hold it back.
    if (best.job != none && turn_of(t) >= best.at) continue;
    const match m = head_of(t);
    some_wait |= m.waits;
    if (m.worker != none && !m.waits) best = m;
  }
  if (!some_wait || best.job == none || best.level < worker_class::busy) return best;
  // Handed out in advance it would take the slot for which a job waits whose turn it is, and the next one would too.
  match allowed;
  for (const std::uint16_t t : ready_.active()) {
    match m = head_of(t);
    if (m.waits || (allowed.job != none && m.at >= allowed.at)) continue;
    m.worker = none;
    m.level = 0xffff;
    for (const worker_class* group : types_[t].classes) {
      std::uint16_t level = 0xffff;
      const std::uint32_t w = group->least(level);
      if (level >= m.level || (level >= worker_class::busy && wanted_free(*group, m.at))) continue;
      m.worker = w;
      m.level = level;
    }
    if (m.worker != none) allowed = m;
  }
  return allowed;
}

/// Whether a job whose turn comes earlier waits for a free slot of such workers.
DTASK_INLINE bool placement::wanted_free(const worker_class& group, const turn& before) const noexcept {
  for (const std::uint16_t t : ready_.active()) {
    if (turn_of(t) >= before || !head_of(t).waits) continue;
    for (const worker_class* each : types_[t].classes)
      if (each == &group) return true;
  }
  return false;
}

/// The least loaded worker that takes a job of this type now, and its level.
DTASK_INLINE std::uint32_t placement::least_loaded(std::uint16_t t, std::uint16_t& level) const noexcept {
  std::uint32_t best = none;
  level = 0xffff;
  for (const worker_class* group : types_[t].classes) {
    std::uint16_t here = 0xffff;
    const std::uint32_t w = group->least(here);
    if (here < level) {
      best = w;
      level = here;
    }
  }
  return best;
}

/// The same for a job of this effect class.
DTASK_INLINE std::uint32_t placement::choose(std::uint16_t t, effect effect_class) const noexcept {
  std::uint16_t level = 0xffff;
  const std::uint32_t best = least_loaded(t, level);
  return effect_class == effect::at_most_once && level >= worker_class::busy ? none : best;
}

DTASK_INLINE void placement::dispatch(std::uint32_t j, std::uint32_t w, time_point now) {
  job& r = jobs_[j];
  worker_record& to = workers_[w];
  peer& p = *worker_peer(w);
  // Its own limits may be below those of the client: a payload above them would end the link, and the next one.
  if (const error bad = wire::check_payload(r.held.blobs(), r.held.size(), p.out.limits())) {
    workers_.unreserve(j);
    r.worker = none;
    return lifecycle_.finish(j, {.code = bad.code(),
                                 .message = "the arguments, for worker " + to.label + ": " + bad.cause(),
                                 .place = "coordinator",
                                 .remedy = bad.remedy()});
  }
  workers_.take(w, j, now);
  jobs_.arm(j);
  if (sessions_[r.session].broadcasts.verified() != 0) distribution_.serve(w, r.session);
  wire::run run;
  run.job = jobs_.id(j);
  run.fence = r.fence;
  run.attempt = r.attempts + 1;
  run.type = to.position_of(r.type);
  run.session = sessions_.id(r.session);
  run.effect_class = r.effect_class;
  run.broadcasts = r.broadcasts;
  run.remaining = remaining(r.deadline, now);
  if (r.held.is_large(send_queue::small)) {
    const std::shared_ptr<stream> from = r.held.as_stream();
    const std::uint64_t id = run.job;
    p.out.push(std::move(run), from, id);
    r.held.put(from);
    peers_.touch(p);
  } else {
    const std::size_t size = r.held.size();
    const std::uint64_t id = run.job;
    run.arguments.whole = r.held.get();
    if (p.out.would_overtake()) {
      p.out.push_whole(std::move(run), size, id);
      peers_.touch(p);
    } else {
      out_.send(p, std::move(run));
    }
  }
  delivery_.report(j, wire::job_state::assigned);
}

/// Gives such a job a worker of its own: reserves one, lets it run empty, then runs the job there and nothing else
/// beside it.
DTASK_INLINE void placement::place_alone(time_point now) {
  std::vector<std::uint16_t>
      without;  // types that have no worker to spare: looked for once, not for each of their jobs
  for (std::uint32_t j = jobs_.alone().front(); j != none;) {
    const std::uint32_t following = job_list::next(jobs_, j);
    job& r = jobs_[j];
    if (r.worker == none && std::find(without.begin(), without.end(), r.type) == without.end()) {
      const std::uint32_t w = choose_for_alone(r.type);
      if (w == none) {
        without.push_back(r.type);
      } else {
        workers_.reserve(w, j);
        for (std::uint32_t other = workers_[w].jobs.front(); other != none; other = job_list::next(jobs_, other))
          recall(other);
      }
    }
    if (r.worker != none) {
      const std::uint32_t w = r.worker;
      const worker_record& to = workers_[w];
      if (to.jobs.empty() && to.link != 0 && to.lease.state == lease_state::up && to.usable != 0 && !to.draining) {
        jobs_.leave_alone(j);
        r.wake = never;
        dispatch(j, w, now);
      }
    }
    j = following;
  }
}

DTASK_INLINE std::uint32_t placement::choose_for_alone(std::uint16_t t) const noexcept {
  std::uint32_t best = none;
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    const worker_record& r = workers_[w];
    if (!workers_.live(w) || r.gone || r.link == 0 || r.draining || r.usable == 0 || r.reserved_for != none ||
        r.lease.state != lease_state::up)
      continue;
    if (r.position_of(t) == none) continue;
    if (best == none || r.jobs.size() < workers_[best].jobs.size()) best = w;
  }
  return best;
}

/// A worker has nothing to do while another holds jobs in advance: some come back, unless that other will have begun
/// them sooner.
DTASK_INLINE void placement::call_back(time_point now) {
  std::uint32_t wanted = 0;
  for (std::uint32_t w = 0; w < workers_.bound(); ++w)
    if (workers_.live(w) && workers_[w].idle) wanted += workers_[w].usable - workers_[w].jobs.size();
  wanted -= std::min(wanted, jobs_.recalls());
  for (std::uint32_t w = 0; w < workers_.bound() && wanted != 0; ++w) {
    worker_record& r = workers_[w];
    if (!workers_.live(w) || r.gone || r.link == 0 || r.backlog == 0) continue;
    const bool stuck = now - r.pace.last() >= options_.prefetch_time;
    if (!stuck && r.backlog <= r.pace.within(2 * options_.prefetch_time)) {
      // It may be quick; look again when it has had the time.
      look_again_ = std::min(look_again_, deadline_after(r.pace.last(), options_.prefetch_time));
      continue;
    }
    std::uint32_t from_here = std::min(wanted, r.backlog);
    for (std::uint32_t j = r.jobs.back(); j != none && from_here != 0; j = job_list::prev(jobs_, j)) {
      const job& candidate = jobs_[j];
      if (candidate.started || candidate.recalled || candidate.phase != job_phase::placed) continue;
      const std::uint32_t other = choose(candidate.type, effect::at_most_once);
      if (other == none || other == w) continue;
      recall(j);
      --from_here;
      --wanted;
    }
  }
}

DTASK_INLINE void placement::recall(std::uint32_t j) {
  job& r = jobs_[j];
  if (!r.attempt_live || r.started || r.recalled || r.stop_sent || r.phase != job_phase::placed) return;
  peer* const p = worker_peer(r.worker);
  if (p == nullptr) return;
  jobs_.recall(j);
  out_.send(*p, wire::recall{jobs_.id(j), r.fence});
}

/// The jobs of a type that wait for a worker.
DTASK_INLINE std::vector<std::uint32_t> placement::waiting_jobs(std::uint16_t t) const {
  std::vector<std::uint32_t> out;
  // Not along the type's ring: lanes that are suspended are out of it.
  for (std::uint32_t s = 0; s < sessions_.bound(); ++s) {
    if (!sessions_.live(s)) continue;
    for (std::size_t i = 0; i < sessions_[s].types.size(); ++i) {
      const lane& each = sessions_[s].lanes[i];
      for (std::uint32_t j = each.type == t ? each.jobs.front() : none; j != none; j = job_list::next(jobs_, j))
        out.push_back(j);
    }
  }
  for (std::uint32_t j = jobs_.alone().front(); j != none; j = job_list::next(jobs_, j))
    if (jobs_[j].type == t) out.push_back(j);
  return out;
}

DTASK_INLINE void placement::type_without_workers(std::uint16_t t, time_point now) {
  if (types_[t].workers != 0) return;
  const std::uint32_t rival = types_.rival(t);
  for (const std::uint32_t j : waiting_jobs(t)) {
    if (rival != none) {
      lifecycle_.mismatch(j, rival);
      continue;
    }
    // Counted from now: a time that was set before there was a worker is void.
    jobs_[j].wake = deadline_after(now, std::chrono::milliseconds(jobs_[j].no_worker_ms));
    jobs_.arm(j);
  }
}

}  // namespace control
DTASK_END
