// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: a job from its submission to its one end. Included by coordinator_state.hpp only.
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void coordinator_state::on(peer& p, wire::submit&& m, time_point now) {
  if (p.role != peer_role::client) return violation(p, "a submit, without being a client");
  const std::uint32_t s = p.index;
  session_record& r = sessions_[s];
  const auto position = static_cast<std::uint32_t>(m.call);
  if (m.job >= r.types.size()) return violation(p, "a submit of a job that its hello does not name");
  if (const std::uint32_t old = r.by_call.at(position); old != none) {
    if (jobs_[old].call == m.call) return;  // sent again after a break, and known
    if (jobs_[old].phase != job_phase::finished) return violation(p, "a new call in the place of one that is open");
    release_from_session(old);  // using the place again says that the former result has come
  }
  const bool announced = m.arguments.transfer != 0;
  std::uint64_t size = m.arguments.whole.size();
  for (const std::uint64_t length : m.arguments.lengths) size += length;
  const std::uint64_t cost = size + job_cost;
  const auto answer = [&](errc code, std::string text, std::string remedy) {
    // Without a record: nothing to acknowledge, and the credit goes straight back.
    r.owed_credit += cost;
    peers_.touch(p);
    wire::result end;
    end.call = m.call;
    end.why = {code, {}, std::move(text), "coordinator", std::move(remedy)};
    end.attempts = m.attempts;
    emit(p, std::move(end));
  };
  // What never fits is no full queue: trying again would not help.
  const bool by_session = options_.session_bytes <= options_.queue_bytes;
  if (const std::uint64_t most = by_session ? options_.session_bytes : options_.queue_bytes; cost > most)
    return answer(errc::too_large,
                  "the arguments take " + std::to_string(size) + " bytes, the coordinator takes at most " +
                      std::to_string(most - std::min<std::uint64_t>(most, job_cost)) +
                      (by_session ? " from one client" : " for all jobs"),
                  by_session ? "raise the coordinator's --session-bytes (session_bytes), or split the value"
                             : "raise the coordinator's --queue-bytes (queue_bytes), or split the value");
  // Answered at the end, since until then there is nobody else to send it to.
  if (draining_) {
    if (r.held + (r.turned_away.size() + 1) * job_cost <= options_.session_bytes)
      return r.turned_away.push_back(m.call);
    return answer(errc::overloaded, "the coordinator ends, and its client has too many calls waiting", {});
  }
  // A position costs memory in the session's index, so it has the limit of the jobs.
  if (jobs_.size() >= options_.max_jobs || position >= options_.max_jobs ||
      sessions_.held_bytes() + cost > options_.queue_bytes || r.held + cost > options_.session_bytes)
    return answer(errc::overloaded,
                  "the queue is full: " + std::to_string(jobs_.size()) + " of " + std::to_string(options_.max_jobs) +
                      " jobs (this is call " + std::to_string(std::uint64_t{position} + 1) + " of its client), " +
                      std::to_string(sessions_.held_bytes()) + " of " + std::to_string(options_.queue_bytes) + " bytes",
                  "try again later, or raise the coordinator's --queue-bytes and --max-jobs (queue_bytes, max_jobs)");
  const std::uint32_t j = jobs_.insert();
  job& made = jobs_[j];
  made.effect_class = m.effect_class;
  made.watch = m.watch;
  made.type = r.types[m.job];
  made.position = static_cast<std::uint16_t>(m.job);
  made.attempts = m.attempts;
  made.broadcasts = static_cast<std::uint32_t>(m.broadcasts);
  made.no_worker_ms = packed_retry::pack(m.no_worker_after);
  made.retry = packed_retry(m.retry);
  made.call = m.call;
  made.cost = cost;
  made.deadline = deadline_after(now, m.remaining);
  if (announced) {
    auto arriving = make_stream(std::move(m.arguments.lengths));
    made.held.put(arriving);
    if (!arriving->complete()) {
      incoming in;
      in.transfer = m.arguments.transfer;
      in.what = payload_of::arguments;
      in.job = jobs_.id(j);
      in.from = std::move(arriving);
      p.in.push_back(std::move(in));
    }
  } else {
    made.held.put(std::move(m.arguments.whole));
  }
  sessions_.add(s, j);
  if (made.broadcasts > r.broadcasts.settled()) {
    sessions_.block(j);
    jobs_.arm(j);
    return;
  }
  enqueue(j, false, now);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::cancel&& m, time_point now) {
  if (p.role != peer_role::client) return violation(p, "a cancel, without being a client");
  const std::uint32_t j = sessions_.job_of(p.index, m.call);
  if (j != none) return withdraw(j, now);
  if (std::erase(sessions_[p.index].turned_away, m.call) == 0) return;
  wire::result end;
  end.call = m.call;
  end.why = {errc::cancelled, {}, "cancelled before it ran", "coordinator", {}};
  emit(p, std::move(end));
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::acknowledge&& m, time_point) {
  if (p.role != peer_role::client) return violation(p, "an acknowledge, without being a client");
  for (const std::uint64_t call : m.calls) {
    const std::uint32_t j = sessions_.job_of(p.index, call);
    if (j != none && jobs_[j].phase == job_phase::finished) release_from_session(j);
  }
}

/// Puts a job that no worker holds where it waits for one.
DTASK_INLINE void coordinator_state::enqueue(std::uint32_t j, bool front, time_point now) {
  job& r = jobs_[j];
  if (types_[r.type].workers == 0) {
    if (const std::uint32_t rival = types_.rival(r.type); rival != none) return mismatch(j, rival, now);
    r.wake = deadline_after(now, std::chrono::milliseconds(r.no_worker_ms));
  } else {
    r.wake = never;
  }
  if (r.by_itself) {
    jobs_.queue_alone(j);
  } else {
    sessions_.queue(j, front);
  }
  jobs_.arm(j);
  report_state(j, wire::job_state::queued);
}

/// Takes a job out of whatever it waits in.
DTASK_INLINE void coordinator_state::leave(std::uint32_t j) {
  job& r = jobs_[j];
  switch (r.phase) {
    case job_phase::blocked:
      sessions_.unblock(j);
      break;
    case job_phase::queued:
      sessions_.leave_queue(j);
      break;
    case job_phase::alone:
      workers_.unreserve(j);
      jobs_.leave_alone(j);
      break;
    case job_phase::pausing:
    case job_phase::accepted:
    case job_phase::placed:
    case job_phase::finished:
      break;
  }
  jobs_.enter(j, job_phase::accepted);
  r.wake = never;
}

DTASK_INLINE void coordinator_state::expired(std::uint32_t j, time_point now) {
  job& r = jobs_[j];
  if (now >= r.deadline) {
    const std::string at = place_of(j);
    const bool placed = r.phase == job_phase::placed;
    return finish(
        j,
        {errc::deadline_exceeded,
         {},
         placed                 ? "the deadline passed while a worker had the job"
         : workers_.size() == 0 ? "the deadline passed while the job waited for a worker: " + nobody_connected()
                                : "the deadline passed while the job waited",
         at,
         {}},
        now);
  }
  if (r.phase == job_phase::pausing) {
    leave(j);
    return enqueue(j, true, now);
  }
  if (now >= r.wake && (r.phase == job_phase::queued || r.phase == job_phase::alone) && types_[r.type].workers == 0) {
    const std::uint32_t workers = workers_.size();
    return finish(j,
                  {errc::no_worker,
                   {},
                   "no worker for '" + types_[r.type].name + "' within " + std::to_string(r.no_worker_ms) + " ms: " +
                       (workers == 0 ? nobody_connected() : std::to_string(workers) + " connected, none registered it"),
                   "coordinator",
                   workers == 0 && !process_end_.empty()
                       ? "see why the processes end that are started to be workers; with spawn:// their command has to "
                         "play the role worker (dtask::main, dtask::worker_role)"
                       : "start a worker that registers this job, or raise no_worker_after"},
                  now);
  }
  if (now >= r.wake) r.wake = never;
  jobs_.arm(j);
}

/// Why there is no worker at all, as far as it is known.
DTASK_INLINE std::string coordinator_state::nobody_connected() const {
  return process_end_.empty() ? "none is connected"
                              : "none is connected; the last process that was to be one: " + process_end_;
}

/// The one end of a job without a value.
DTASK_INLINE void coordinator_state::finish(std::uint32_t j, wire::failure why, time_point now) {
  job& r = jobs_[j];
  leave(j);
  if (why.place.empty()) why.place = place_of(j);
  jobs_.fail(j, std::move(why));
  forget_arguments(j, now);
  drop_answer(j);
  r.held.clear();
  settled(j, now);
}

/// The one end of a job whose value has just been put into `held`, its arguments being gone.
DTASK_INLINE void coordinator_state::succeed(std::uint32_t j, time_point now) {
  leave(j);
  jobs_.succeed(j);
  workers_.end_attempt(j);
  sessions_.hold_result(j);
  settled(j, now);
}

DTASK_INLINE void coordinator_state::settled(std::uint32_t j, time_point) {
  job& r = jobs_[j];
  jobs_.settle(j);
  if (r.worker != none) workers_.keep_name(r.worker);
  if (r.session == none)
    r.accepted = true;
  else
    send_result(j);
  reclaim(j);
}

/// The arguments of a job that has ended, or may not be placed again. If its run has not left yet, or is on its way,
/// the worker is not bothered with the rest; else it is told to stop.
DTASK_INLINE void coordinator_state::forget_arguments(std::uint32_t j, time_point) {
  job& r = jobs_[j];
  if (!r.attempt_live) return;
  peer* const w = worker_peer(r.worker);
  if (w == nullptr) return;
  const auto cut = w->out.remove(jobs_.id(j), {errc::cancelled, {}, "the job has ended", "coordinator", {}},
                                 [&](wire::message&& m) { emit(*w, std::move(m)); });
  if (cut == send_queue::removed::before_start) {
    workers_.end_attempt(j);
    r.worker = none;
    return;
  }
  if (cut == send_queue::removed::absent && !r.stop_sent) emit(*w, wire::stop{jobs_.id(j), r.fence});
  r.stop_sent = true;
}

/// Cancelled by its client: at once where it waits, else when its worker reports the end.
DTASK_INLINE void coordinator_state::withdraw(std::uint32_t j, time_point now) {
  job& r = jobs_[j];
  if (r.phase == job_phase::finished || r.cancelled) return;
  r.cancelled = true;
  if (r.attempt_live) forget_arguments(j, now);
  if (!r.attempt_live) finish(j, {errc::cancelled, {}, "cancelled before it ran", "coordinator", {}}, now);
}

/// Another attempt, if the class of the error, the effect class and the budget allow; else the end.
DTASK_INLINE void coordinator_state::retry(std::uint32_t j, wire::failure why, time_point now) {
  job& r = jobs_[j];
  if (r.cancelled || !may_retry(why.code, r.effect_class, r.retry.retries, r.retry.on_exception, r.attempts))
    return finish(j, std::move(why), now);
  jobs_.place_again(j);
  jobs_.enter(j, job_phase::pausing);
  r.wake = deadline_after(now, r.retry.unpacked().pause_before(r.attempts + 1));
  jobs_.arm(j);
  report_state(j, wire::job_state::queued);
}

/// A large result that is on its way is not wanted, or does not come: the client, if it was sent some, drops it. Where
/// its worker goes on sending, what comes is thrown away, and the end of it is the end of the attempt.
DTASK_INLINE void coordinator_state::drop_answer(std::uint32_t j) {
  job& r = jobs_[j];
  if (!r.rarely || !r.rarely->answer) return;
  if (r.session != none)
    if (peer* const c = peers_.find(sessions_[r.session].link))
      c->out.remove(jobs_.id(j), {errc::worker_lost, {}, "the result was cut short", "coordinator", {}},
                    [&](wire::message&& m) { emit(*c, std::move(m)); });
  if (r.worker != none) {
    workers_[r.worker].owed_credit += std::exchange(r.rarely->answer->owed, 0);
    if (peer* const w = worker_peer(r.worker)) peers_.touch(*w);
  }
  r.rarely->answer.reset();
}

/// The same where this result of an attempt does not come; another attempt's is left alone. Whether it was wanted.
DTASK_INLINE bool coordinator_state::drop_arriving(const incoming& what) {
  const std::uint32_t j = what.what == payload_of::result ? jobs_.find(what.job) : none;
  if (j == none || !jobs_[j].rarely || jobs_[j].rarely->answer != what.from) return false;
  drop_answer(j);
  return true;
}

/// A finished job's value is not needed any more: what of it has not been sent was never paid back to its worker.
DTASK_INLINE void coordinator_state::drop_value(std::uint32_t j) {
  job& r = jobs_[j];
  const std::shared_ptr<stream>* const from = r.held.arriving();
  if (r.answered && r.worker != none && from != nullptr && (*from)->owed != 0) {
    workers_[r.worker].owed_credit += std::exchange((*from)->owed, 0);
    if (peer* const w = worker_peer(r.worker)) peers_.touch(*w);
  }
  r.held.clear();
}

DTASK_INLINE void coordinator_state::send_result(std::uint32_t j) {
  job& r = jobs_[j];
  peer* const c = peers_.find(sessions_[r.session].link);
  if (c == nullptr) {  // sent when the session is resumed
    if (r.rarely) r.rarely->answer.reset();
    return;
  }
  wire::result end;
  end.call = r.call;
  end.attempts = r.attempts;
  if (r.worker != none) end.worker = workers_[r.worker].label;
  if (!r.answered) {
    end.why = r.rarely->why;
    emit(*c, std::move(end));
    return;
  }
  if (const error bad = wire::check_payload(r.held.blobs(), r.held.size(), c->out.limits())) {
    end.why = {bad.code(), {}, "the result, for its client: " + bad.cause(), place_of(j), bad.remedy()};
    emit(*c, std::move(end));
    return;
  }
  if (r.rarely && r.rarely->answer) {  // it has been on its way since its first chunk
    r.rarely->answer.reset();
    peers_.touch(*c);
    return;
  }
  if (!r.held.is_large(send_queue::small)) {
    end.value.whole = r.held.get();
    emit(*c, std::move(end));
    return;
  }
  c->out.push(std::move(end), r.held.as_stream(), jobs_.id(j));
  peers_.touch(*c);
}

/// The client has the result, or is gone.
DTASK_INLINE void coordinator_state::release_from_session(std::uint32_t j) {
  job& r = jobs_[j];
  if (r.session != none) {
    const link_id link = sessions_[r.session].link;
    sessions_.remove(j);
    if (peer* const c = peers_.find(link)) peers_.touch(*c);
  }
  if (r.phase != job_phase::finished) return;
  r.accepted = true;
  drop_value(j);
  reclaim(j);
}

DTASK_INLINE void coordinator_state::reclaim(std::uint32_t j) {
  job& r = jobs_[j];
  if (r.phase != job_phase::finished || !r.accepted || r.attempt_live) return;
  if (r.worker != none) workers_.drop_name(r.worker);
  jobs_.erase(j);
}

DTASK_INLINE void coordinator_state::report_state(std::uint32_t j, wire::job_state state) {
  const job& r = jobs_[j];
  if (!r.watch || r.session == none) return;
  if (peer* const c = peers_.find(sessions_[r.session].link))
    emit(*c, wire::state{r.call, state, r.attempts + (state == wire::job_state::running ? 0U : 1U)});
}

DTASK_INLINE std::string coordinator_state::place_of(std::uint32_t j) const {
  const job& r = jobs_[j];
  if (r.worker == none) return "coordinator";
  return workers_[r.worker].label + ", attempt " + std::to_string(std::max(r.attempts, 1U));
}

}  // namespace control
DTASK_END
