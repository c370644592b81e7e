// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: client sessions. Included by coordinator_state.hpp only.
#include <utility>

DTASK_BEGIN
namespace control {

/// The client is back: it hears which calls have arrived, and gets every result again that it has not acknowledged.
DTASK_INLINE void coordinator_state::resume(std::uint32_t s, time_point) {
  session_record& r = sessions_[s];
  peer& p = *peers_.find(r.link);
  constexpr std::size_t most = 8192;
  wire::known_calls known;
  known.last = false;
  const std::vector<std::uint32_t> held = r.by_call.jobs();
  for (const std::uint32_t j : held) {
    known.calls.push_back(jobs_[j].call);
    if (known.calls.size() < most) continue;
    emit(p, std::exchange(known, {}));
    known.last = false;
  }
  known.last = true;
  emit(p, std::move(known));
  for (const std::uint32_t j : held) {
    if (jobs_[j].phase == job_phase::finished) {
      send_result(j);
    } else if (jobs_[j].rarely && jobs_[j].rarely->answer) {
      wire::result head;
      head.call = jobs_[j].call;
      head.attempts = jobs_[j].attempts;
      head.worker = workers_[jobs_[j].worker].label;
      p.out.push(std::move(head), jobs_[j].rarely->answer, jobs_.id(j));
      peers_.touch(p);
    }
  }
}

/// The link to the client is gone; the session waits for it. What had not arrived whole was never accepted: the client
/// sends it again.
DTASK_INLINE void coordinator_state::detach_session(std::uint32_t s, peer& p, time_point now) {
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
    if (open) leave(j);
    release_from_session(j);
    if (open) finish(j, {errc::cancelled, {}, "its arguments did not arrive", "coordinator", {}}, now);
  }
}

/// The session is over: its open jobs are cancelled, and everything that was kept for it goes.
DTASK_INLINE void coordinator_state::end_session(std::uint32_t s, std::string_view why, time_point now) {
  session_record& r = sessions_[s];
  const std::uint64_t id = sessions_.id(s);
  std::uint64_t open = 0;
  const std::vector<std::uint32_t> calls = sessions_.close(s);
  for (const std::uint32_t j : calls) {
    if (jobs_[j].phase != job_phase::finished) {
      ++open;
      jobs_[j].cancelled = true;
      leave(j);
    }
    drop_answer(j);
    jobs_[j].session = none;
    if (jobs_[j].phase != job_phase::finished) {
      finish(j, {errc::cancelled, {}, std::string(why), "coordinator", {}}, now);
    } else {
      jobs_[j].accepted = true;
      drop_value(j);
      reclaim(j);
    }
  }
  if (open != 0)
    say(log_level::info, "jobs_cancelled", std::to_string(open) + " of " + r.label + ": " + std::string(why));
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    if (!workers_.live(w) || workers_[w].gone) continue;
    worker_record& to = workers_[w];
    to.serves.erase_if([&](const served_session& served) { return served.session == id; });
    // Any worker may have run its jobs. One that is away is told when it comes back, and so is one whose link breaks
    // before it has said that it knows.
    to.ended.push_back(id);
    if (peer* const p = worker_peer(w)) {
      // A value that came after the end would bring the session back there.
      p->out.remove_group(id, {errc::cancelled, {}, "its session is over", "coordinator", {}},
                          [&](wire::message&& m) { emit(*p, std::move(m)); });
      emit(*p, wire::end_session{id});
    }
  }
  for (const std::uint16_t t : r.types) types_.release(t);
  sessions_.erase(s);
}

}  // namespace control
DTASK_END
