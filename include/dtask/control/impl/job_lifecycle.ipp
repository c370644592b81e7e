// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::string_view job_lifecycle::submitted(peer& p, wire::submit&& m, bool draining, time_point now) {
  const session_record& r = sessions_[p.index];
  const auto position = static_cast<std::uint32_t>(m.call);
  if (m.job >= r.types.size()) return "a submit of a job that its hello does not name";
  if (const std::uint32_t old = r.by_call.at(position); old != none) {
    if (jobs_[old].call == m.call) return {};  // sent again after a break, and known
    if (jobs_[old].phase != job_phase::finished) return "a new call in the place of one that is open";
    delivery_.release(old);  // using the place again says that the former result has come
  }
  accept(p, std::move(m), draining, now);
  return {};
}

DTASK_INLINE void job_lifecycle::accept(peer& p, wire::submit&& m, bool draining, time_point now) {
  const std::uint32_t s = p.index;
  session_record& r = sessions_[s];
  const auto position = static_cast<std::uint32_t>(m.call);
  const bool announced = m.arguments.transfer != 0;
  std::uint64_t size = m.arguments.whole.size();
  for (const std::uint64_t length : m.arguments.lengths) size += length;
  const std::uint64_t cost = size + job_cost;
  const auto answer = [&](errc code, std::string text, std::string remedy) {
    // Without a record: nothing to acknowledge, and the credit goes straight back.
    sessions_.owe(s, cost);
    peers_.touch(p);
    wire::result end;
    end.call = m.call;
    end.why = {.code = code, .message = std::move(text), .place = "coordinator", .remedy = std::move(remedy)};
    end.attempts = m.attempts;
    out_.send(p, std::move(end));
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
  if (draining) {
    if (r.held_bytes + (r.turned_away.size() + 1) * job_cost <= options_.session_bytes)
      return r.turned_away.push_back(m.call);
    return answer(errc::overloaded, "the coordinator ends, and its client has too many calls waiting", {});
  }
  // A position costs memory in the session's index, so it has the limit of the jobs.
  if (jobs_.size() >= options_.max_jobs || position >= options_.max_jobs ||
      sessions_.held_bytes() + cost > options_.queue_bytes || r.held_bytes + cost > options_.session_bytes)
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
    return jobs_.arm(j);
  }
  enqueue(j, false, now);
}

DTASK_INLINE void job_lifecycle::cancelled(peer& p, const wire::cancel& m) {
  const std::uint32_t j = sessions_.job_of(p.index, m.call);
  if (j != none) return cancel(j);
  if (std::erase(sessions_[p.index].turned_away, m.call) == 0) return;
  wire::result end;
  end.call = m.call;
  end.why = {.code = errc::cancelled, .message = "cancelled before it ran", .place = "coordinator"};
  out_.send(p, std::move(end));
}

DTASK_INLINE void job_lifecycle::acknowledged(peer& p, const wire::acknowledge& m) {
  for (const std::uint64_t call : m.calls) {
    const std::uint32_t j = sessions_.job_of(p.index, call);
    if (j != none && jobs_[j].phase == job_phase::finished) delivery_.release(j);
  }
}

DTASK_INLINE void job_lifecycle::enqueue(std::uint32_t j, bool front, time_point now) {
  job& r = jobs_[j];
  if (types_[r.type].workers == 0) {
    if (const std::uint32_t rival = types_.rival(r.type); rival != none) return mismatch(j, rival);
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
  delivery_.report(j, wire::job_state::queued);
}

DTASK_INLINE void job_lifecycle::leave(std::uint32_t j) {
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

DTASK_INLINE void job_lifecycle::expired(std::uint32_t j, time_point now) {
  job& r = jobs_[j];
  if (now >= r.deadline) {
    const std::string at = delivery_.place_of(j);
    const bool placed = r.phase == job_phase::placed;
    return finish(j, {.code = errc::deadline_exceeded,
                      .message = placed ? "the deadline passed while a worker had the job"
                                 : workers_.size() == 0
                                     ? "the deadline passed while the job waited for a worker: " + nobody_connected()
                                     : "the deadline passed while the job waited",
                      .place = at});
  }
  if (r.phase == job_phase::pausing) {
    leave(j);
    return enqueue(j, true, now);
  }
  if (now >= r.wake && (r.phase == job_phase::queued || r.phase == job_phase::alone) && types_[r.type].workers == 0) {
    const std::uint32_t workers = workers_.size();
    return finish(
        j,
        {.code = errc::no_worker,
         .message = "no worker for '" + types_[r.type].name + "' within " + std::to_string(r.no_worker_ms) + " ms: " +
                    (workers == 0 ? nobody_connected() : std::to_string(workers) + " connected, none registered it"),
         .place = "coordinator",
         .remedy = workers == 0 && !workers_.process_end().empty()
                       ? "see why the processes end that are started to be workers; with spawn:// their command has to "
                         "play the role worker (dtask::main, dtask::worker_role)"
                       : "start a worker that registers this job, or raise no_worker_after"});
  }
  if (now >= r.wake) r.wake = never;
  jobs_.arm(j);
}

DTASK_INLINE void job_lifecycle::mismatch(std::uint32_t j, std::uint32_t rival) {
  const type_record& mine = types_[jobs_[j].type];
  const type_record& theirs = types_[rival];
  finish(j, {.code = errc::schema_mismatch,
             .message = "'" + mine.name + "' is " + mine.signature + " in client " + sessions_[jobs_[j].session].label +
                        " and " + theirs.signature + " in worker " + theirs.worker_label,
             .place = "coordinator",
             .remedy = "build both from the same job types, or give the changed job a new version"});
}

/// Why there is no worker at all, as far as it is known.
DTASK_INLINE std::string job_lifecycle::nobody_connected() const {
  return workers_.process_end().empty()
             ? "none is connected"
             : "none is connected; the last process that was to be one: " + workers_.process_end();
}

DTASK_INLINE void job_lifecycle::finish(std::uint32_t j, wire::failure why) {
  job& r = jobs_[j];
  leave(j);
  if (why.place.empty()) why.place = delivery_.place_of(j);
  jobs_.fail(j, std::move(why));
  forget_arguments(j);
  delivery_.drop_answer(j);
  r.held.clear();
  settled(j);
}

DTASK_INLINE void job_lifecycle::succeed(std::uint32_t j) {
  leave(j);
  jobs_.succeed(j);
  workers_.end_attempt(j);
  sessions_.hold_result(j);
  settled(j);
}

DTASK_INLINE void job_lifecycle::settled(std::uint32_t j) {
  job& r = jobs_[j];
  jobs_.settle(j);
  if (r.worker != none) workers_.keep_name(r.worker);
  if (r.session == none)
    r.accepted = true;
  else
    delivery_.send_result(j);
  delivery_.reclaim(j);
}

/// The arguments of a job that has ended, or may not be placed again. If its run has not left yet, or is on its way,
/// the worker is not bothered with the rest; else it is told to stop.
DTASK_INLINE void job_lifecycle::forget_arguments(std::uint32_t j) {
  job& r = jobs_[j];
  if (!r.attempt_live) return;
  peer* const w = worker_peer(r.worker);
  if (w == nullptr) return;
  const auto cut =
      w->out.remove(jobs_.id(j), {.code = errc::cancelled, .message = "the job has ended", .place = "coordinator"},
                    [&](wire::message&& m) { out_.send(*w, std::move(m)); });
  if (cut == send_queue::removed::before_start) {
    workers_.end_attempt(j);
    r.worker = none;
    return;
  }
  if (cut == send_queue::removed::absent && !r.stop_sent) out_.send(*w, wire::stop{jobs_.id(j), r.fence});
  r.stop_sent = true;
}

/// Cancelled by its client: at once where it waits, else when its worker reports the end.
DTASK_INLINE void job_lifecycle::cancel(std::uint32_t j) {
  job& r = jobs_[j];
  if (r.phase == job_phase::finished || r.cancelled) return;
  r.cancelled = true;
  if (r.attempt_live) forget_arguments(j);
  if (!r.attempt_live)
    finish(j, {.code = errc::cancelled, .message = "cancelled before it ran", .place = "coordinator"});
}

/// Another attempt, if the class of the error, the effect class and the budget allow; else the end.
DTASK_INLINE void job_lifecycle::retry(std::uint32_t j, wire::failure why, time_point now) {
  job& r = jobs_[j];
  if (r.cancelled || !may_retry(why.code, r.effect_class, r.retry.retries, r.retry.on_exception, r.attempts))
    return finish(j, std::move(why));
  jobs_.place_again(j);
  jobs_.enter(j, job_phase::pausing);
  r.wake = deadline_after(now, r.retry.unpacked().pause_before(r.attempts + 1));
  jobs_.arm(j);
  delivery_.report(j, wire::job_state::queued);
}

DTASK_INLINE void job_lifecycle::give_back(peer& p) {
  const auto refused = [&](std::uint64_t call, std::uint32_t attempts) {
    wire::result end;
    end.call = call;
    end.attempts = attempts;
    end.why = {
        .code = errc::closed, .message = "the coordinator ended before the job was begun", .place = "coordinator"};
    out_.send(p, std::move(end));
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

}  // namespace control
DTASK_END
