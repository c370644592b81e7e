// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

/// The job whose live attempt this is, if it comes from the worker that has it, else `none`: a fenced report.
DTASK_INLINE std::uint32_t job_lifecycle::attempt(const peer& p, std::uint64_t id, std::uint32_t fence) const noexcept {
  const std::uint32_t j = jobs_.find(id);
  return j != none && jobs_[j].attempt_live && jobs_[j].fence == fence && jobs_[j].worker == p.index ? j : none;
}

DTASK_INLINE void job_lifecycle::count_started(std::uint32_t j) {
  job& r = jobs_[j];
  workers_.start_attempt(j);
  // It has all its arguments, and they will not be needed for another attempt.
  if (!may_run_again(r.effect_class) && r.phase == job_phase::placed) r.held.clear();
}

DTASK_INLINE void job_lifecycle::started(peer& p, const wire::started& m) {
  const std::uint32_t j = attempt(p, m.job, m.fence);
  if (j == none || jobs_[j].started) return;
  count_started(j);
  delivery_.report(j, wire::job_state::running);
}

DTASK_INLINE void job_lifecycle::done(peer& p, wire::done&& m, time_point now) {
  const std::uint32_t j = attempt(p, m.job, m.fence);
  worker_record& w = workers_[p.index];
  if (j == none) {  // an old fence: dropped, but acknowledged, so that the worker forgets it
    workers_.owe(p.index, m.value.whole.size());
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
      return delivery_.reclaim(j);
    }
    delivery_.drop_answer(j);
    job& r = jobs_[j];
    if (const peer* const c = r.session == none ? nullptr : client_peer(r.session))
      if (const error bad =
              wire::check_payload(arriving->held.lengths.size() - 1, arriving->held.size(), c->out.limits())) {
        p.acks.push_back(m.job);  // what comes of it is thrown away
        peers_.touch(p);
        return answered(j,
                        {.code = bad.code(),
                         .message = "the result, for its client: " + bad.cause(),
                         .place = delivery_.place_of(j),
                         .remedy = bad.remedy()},
                        now);
      }
    r.rare().answer = arriving;
    p.in.push_back({m.value.transfer, payload_of::result, m.job, m.fence, {}, arriving});
    return delivery_.forward(j);
  }
  p.acks.push_back(m.job);
  peers_.touch(p);
  job& r = jobs_[j];
  const std::uint64_t size = m.value.whole.size();
  if (r.phase == job_phase::finished || m.why.code != errc::ok) {
    workers_.owe(p.index, size);
    return answered(j, std::move(m.why), now);
  }
  r.held.put(std::move(m.value.whole));
  if (r.held.is_large(send_queue::small)) {
    auto from = r.held.as_stream();
    from->owed = size;
    r.held.put(std::move(from));
  } else {
    workers_.owe(p.index, size);
  }
  succeed(j);
}

DTASK_INLINE void job_lifecycle::answered(std::uint32_t j, wire::failure&& why, time_point now) {
  workers_.end_attempt(j);
  if (jobs_[j].phase == job_phase::finished) return delivery_.reclaim(j);
  if (why.place.empty()) why.place = delivery_.place_of(j);
  leave(j);
  retry(j, std::move(why), now);
}

DTASK_INLINE void job_lifecycle::returned(peer& p, const wire::returned& m, time_point now) {
  const std::uint32_t j = attempt(p, m.job, m.fence);
  if (j == none) return;
  drop_run(p, j);
  given_back(j, now);
}

/// What is left of the arguments of an attempt that has ended on this worker is not sent.
DTASK_INLINE void job_lifecycle::drop_run(peer& p, std::uint32_t j) {
  p.out.remove(jobs_.id(j), {.code = errc::cancelled, .message = "the attempt has ended", .place = "coordinator"},
               [&](wire::message&& m) { out_.send(p, std::move(m)); });
}

DTASK_INLINE void job_lifecycle::given_back(std::uint32_t j, time_point now) {
  if (jobs_[j].started)
    return lost_attempt(j, workers_[jobs_[j].worker].label, "the worker no longer knows it", false, now);
  workers_.end_attempt(j);
  job& r = jobs_[j];
  if (r.phase == job_phase::finished) return delivery_.reclaim(j);
  leave(j);
  if (r.cancelled) return finish(j, {.code = errc::cancelled, .message = "cancelled before it ran"});
  jobs_.place_again(j);
  enqueue(j, true, now);
}

DTASK_INLINE void job_lifecycle::lost_attempt(std::uint32_t j, const std::string& label, const std::string& how,
                                              bool died, time_point now) {
  job& r = jobs_[j];
  const bool alone = r.by_itself;
  // Alone on its worker, a job that was not reported in time is a suspect too.
  const bool ran = r.started || (alone && died);
  if (ran && !r.started) ++r.attempts;
  workers_.end_attempt(j);
  if (r.phase == job_phase::finished) return delivery_.reclaim(j);
  delivery_.drop_answer(j);
  leave(j);
  if (died && r.losses < 0xff) ++r.losses;
  if (died && ran) {
    if (r.deaths < 0xff) ++r.deaths;
    std::string& history = r.rare().history;
    history.append(history.empty() ? "" : "; ").append(label).append(": ").append(how);
  }
  const std::string at = label + ", attempt " + std::to_string(std::max(r.attempts, 1U));
  if (r.cancelled)
    return finish(j, {.code = errc::cancelled, .message = "cancelled, and its worker is gone", .place = at});
  if (!may_run_again(r.effect_class)) {
    if (!ran) ++r.attempts;
    return finish(j, {.code = errc::worker_lost,
                      .message = "the worker is gone: " + how + "; the job may have run, and may not run twice",
                      .place = at,
                      .remedy = "make the job idempotent to have it placed again"});
  }
  if (alone && r.deaths >= options_.quarantine_after_deaths) {
    out_.say(log_level::error, "quarantined",
             "'" + types_[r.type].name + "' of " +
                 (r.session == none ? std::string("a lost client") : sessions_[r.session].label) + ": " +
                 r.rarely->history);
    return finish(j, {.code = errc::quarantined,
                      .message = std::to_string(r.deaths) + " workers died while they ran it: " + r.rarely->history,
                      .place = at,
                      .remedy = "run it by itself under a debugger; the other jobs go on"});
  }
  // A job that many workers took with them without ever reporting it as started gets to prove itself too.
  if (r.deaths >= options_.alone_after_deaths || r.losses >= 2 * options_.quarantine_after_deaths) r.by_itself = true;
  if (ran)
    return retry(j,
                 {.code = errc::worker_lost,
                  .message = "the worker is gone: " + how,
                  .place = at,
                  .remedy = "its host's log and stderr say more"},
                 now);
  jobs_.place_again(j);
  enqueue(j, true, now);
}

}  // namespace control
DTASK_END
