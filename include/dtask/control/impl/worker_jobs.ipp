// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of worker_state: attempts, slots and the books. Included by worker_state.hpp only.
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void worker_state::on(wire::run&& m, time_point now) {
  const attempt_id id{m.job, m.fence};
  if (m.job == 0) return violation("a run without a job", now);
  if (attempts_.contains(id)) return;
  attempt& a = attempts_[id];
  a.type = m.type;
  a.number = m.attempt;
  a.session = m.session;
  a.effect_class = m.effect_class;
  a.deadline = deadline_after(now, m.remaining);
  session& s = sessions_[m.session];
  s.ended = false;
  a.needs = s.announced;
  if (draining_) return give_back(id);
  if (m.type >= who_.jobs.size()) {
    a.now = phase::answered;
    a.why = {.code = errc::unknown_job,
             .message = "the worker has no job number " + std::to_string(m.type),
             .place = place(m.attempt)};
    return answer(id, a);
  }
  if (m.arguments.transfer != 0) {
    incoming in;
    in.transfer = m.arguments.transfer;
    in.job = id;
    in.from = wire::assembler(std::move(m.arguments.lengths));
    if (!in.from.complete()) {
      in_.push_back(std::move(in));
      return;
    }
    a.content = std::move(in.from).take();
  } else {
    a.content = std::move(m.arguments.whole);
  }
  begin_waiting(id);
}

DTASK_INLINE bool worker_state::has_blobs(const attempt& a) const {
  const auto s = sessions_.find(a.session);
  if (s == sessions_.end()) return true;
  for (const blob_ref& b : s->second.missing)
    if (b.order <= a.needs) return false;
  return true;
}

DTASK_INLINE void worker_state::begin_waiting(const attempt_id& id) {
  attempt& a = attempts_[id];
  a.now = phase::waiting;
  if (has_blobs(a))
    ready_.push_back(id);
  else
    held_up_.push_back(id);
}

DTASK_INLINE void worker_state::wake_waiting(std::uint64_t s) {
  held_up_.erase_if([&](const attempt_id& id) {
    const auto at = attempts_.find(id);
    if (at == attempts_.end()) return true;
    if (at->second.session != s || !has_blobs(at->second)) return false;
    ready_.push_back(id);
    return true;
  });
}

/// Fills the free slots.
DTASK_INLINE void worker_state::start_jobs(time_point now) {
  while (!free_.empty() && !ready_.empty() && result_bytes_ < options_.result_bytes) {
    const attempt_id id = ready_.front();
    ready_.pop_front();
    const auto at = attempts_.find(id);
    if (at == attempts_.end() || at->second.now != phase::waiting) continue;
    attempt& a = at->second;
    if (now >= a.deadline) {
      a.now = phase::answered;
      a.why = {.code = errc::deadline_exceeded,
               .message = "the deadline passed before the job could start",
               .place = place(a.number)};
      a.content = {};
      answer(id, a);
      continue;
    }
    const std::uint32_t n = free_.back();
    free_.pop_back();
    slot& s = slots_[n];
    s = {};
    s.who = id;
    s.busy = true;
    s.session = a.session;
    s.deadline = a.deadline;
    a.slot = n;
    a.now = phase::running;
    ++sessions_[a.session].running;
    report_started(id, a);
    actions_.push_back(
        run_job{id.job, id.fence, n, a.type, a.session, a.number, a.effect_class, a.deadline, std::move(a.content)});
    a.content = {};
  }
}

/// Where there is no coordinator now, the next hello or the welcome says it.
DTASK_INLINE void worker_state::report_started(const attempt_id& id, attempt& a) {
  if (a.told || !up_.ready()) return;
  a.told = true;
  emit(wire::started{id.job, id.fence});
}

DTASK_INLINE void worker_state::job_finished(std::uint64_t job, std::uint32_t fence, wire::failure why, payload value,
                                             time_point now) {
  const attempt_id id{job, fence};
  const auto at = attempts_.find(id);
  std::uint32_t n = at != attempts_.end() && at->second.now == phase::running ? at->second.slot : none;
  for (std::uint32_t i = 0; n == none && i < slots_.size(); ++i)
    if (slots_[i].busy && slots_[i].who == id) n = i;
  if (n == none) return;
  slot& s = slots_[n];
  const bool was_lost = s.lost, was_orphan = s.orphan, was_leaving = s.leaving;
  const std::uint64_t session_id = s.session;
  s = {};
  free_.push_back(n);
  if (was_lost)
    --lost_;
  else if (was_orphan)
    --orphans_;
  if (was_lost || was_orphan) {
    if (was_lost) say(log_level::info, "slot_back", "an abandoned job has ended after all");
    if (up_.ready()) report_slots();
  }
  if (const auto owner = sessions_.find(session_id); owner != sessions_.end() && owner->second.running != 0) {
    --owner->second.running;
    leave_session(session_id);
  }
  if (exited_) return;
  if (at != attempts_.end() && at->second.now == phase::running) {
    attempt& a = at->second;
    a.slot = none;
    a.now = phase::answered;
    a.why = was_leaving && why.code == errc::cancelled ? left(a) : std::move(why);
    if (a.why.code == errc::ok) {
      if (const error bad = wire::check_payload(value, out_.limits())) {
        a.why = {.code = errc::too_large, .message = "the result: " + bad.cause(), .remedy = bad.remedy()};
      } else {
        a.content = std::move(value);
        result_bytes_ += a.content.size();
      }
    }
    if (a.why.code != errc::ok && a.why.place.empty()) a.why.place = place(a.number);
    answer(id, a);
  }
  if (draining_) finish_drain(now);
}

/// Nobody but the worker wanted the attempt stopped: it may be placed again as if the worker had been lost.
DTASK_INLINE wire::failure worker_state::left(const attempt& a) const {
  return {.code = errc::worker_lost,
          .message = "the worker was told to leave and stopped the job",
          .place = place(a.number),
          .remedy = "raise --drain-within (drain_within)"};
}

/// Sends the end of an attempt; it is kept until it is acknowledged, and sent again after a break.
DTASK_INLINE void worker_state::answer(const attempt_id& id, attempt& a) {
  if (!a.listed) {
    a.listed = true;
    answered_.push_back(id);
  }
  if (!up_.ready()) return;
  wire::done end;
  end.job = id.job;
  end.fence = id.fence;
  end.why = a.why;
  const std::size_t size = a.content.size();
  if (size <= send_queue::small && a.content.blobs.size() <= wire::blobs_in_frame && credit_ > 0) {
    credit_ -= static_cast<std::int64_t>(size);
    end.value.whole = a.content;
    return emit(std::move(end));
  }
  out_.push(std::move(end), make_stream(a.content), id.job);
}

DTASK_INLINE void worker_state::on(wire::acknowledge&& m, time_point now) {
  for (const std::uint64_t job : m.calls) {
    // Attempts of a job are few here, mostly one; the acknowledged one is the answered one with the lowest fence, since
    // answers are sent in order.
    attempt_id* const at = answered_.find_if([job](const attempt_id& id) { return id.job == job; });
    if (at == nullptr) continue;
    const auto answered = attempts_.find(*at);
    result_bytes_ -= answered->second.content.size();
    attempts_.erase(answered);
    answered_.erase(at);
  }
  if (draining_) finish_drain(now);
}

/// An attempt that has not started goes back.
DTASK_INLINE void worker_state::give_back(attempt_id id) {
  attempts_.erase(id);
  in_.erase_if([&](const incoming& i) { return i.job == id; });
  if (up_.now() == uplink::phase::greeting) returned_.push_back(id);
  emit(wire::returned{id.job, id.fence});
}

DTASK_INLINE void worker_state::on(wire::recall&& m, time_point) {
  const auto at = attempts_.find({m.job, m.fence});
  if (at != attempts_.end() && (at->second.now == phase::arriving || at->second.now == phase::waiting))
    give_back(at->first);
}

DTASK_INLINE void worker_state::on(wire::stop&& m, time_point now) {
  const auto at = attempts_.find({m.job, m.fence});
  if (at == attempts_.end() || at->second.now == phase::answered) return;  // its end is on its way
  if (at->second.now != phase::running) return give_back(at->first);
  request_stop(slots_[at->second.slot], errc::cancelled, now);
  slots_[at->second.slot].leaving = false;
}

DTASK_INLINE void worker_state::request_stop(slot& s, errc why, time_point now) {
  if (s.stopping) return;
  s.stopping = true;
  s.stop_at = now;
  actions_.push_back(stop_job{s.who.job, s.who.fence, why});
}

DTASK_INLINE memory_use worker_state::memory(memory_use process) const {
  for (const auto& [id, a] : attempts_)
    if (a.now != phase::answered) process.arguments += a.content.size();
  for (const incoming& i : in_) (i.job.job != 0 ? process.arguments : process.broadcasts) += i.from.received();
  process.results = result_bytes_;
  process.broadcasts += blob_bytes_;
  return process;
}

DTASK_INLINE void worker_state::measured(const memory_use& process, time_point) {
  if (!up_.ready()) return;
  const memory_use now = memory(process);
  if (now == told_) return;
  told_ = now;
  emit(wire::usage{now});
}

DTASK_INLINE std::string worker_state::check() const {
  std::uint32_t busy = 0, lost = 0, orphans = 0;
  for (std::uint32_t n = 0; n < slots_.size(); ++n) {
    const slot& s = slots_[n];
    busy += s.busy;
    lost += s.busy && s.lost;
    orphans += s.busy && s.orphan && !s.lost;
    if (s.busy && !s.orphan && !s.lost) {
      const auto at = attempts_.find(s.who);
      if (at == attempts_.end() || at->second.now != phase::running || at->second.slot != n)
        return "a busy slot has no attempt";
    }
  }
  if (busy + free_.size() != slots_.size()) return "slots are miscounted";
  if (lost != lost_ || orphans != orphans_) return "lost slots are miscounted";
  std::uint64_t found = 0;
  for (const auto& [id, s] : sessions_)
    for (const auto& [name, v] : s.values) {
      if (v.here ? v.number == 0 : v.size != 0) return "a value has bytes and is not here";
      found += v.size;
    }
  if (found != blob_bytes_ || found > options_.broadcast_bytes) return "bytes of broadcasts are miscounted";
  for (const wanted& w : wanted_) {
    const auto s = sessions_.find(w.session);
    if (s == sessions_.end()) return "a fetch waits for a session that is gone";
    const auto v = s->second.values.find(w.name);
    if (v == s->second.values.end() || v->second.here) return "a fetch waits for a value that is here, or unknown";
    if (w.asked && !up_.ready()) return "a fetch has been sent to nobody";
  }
  std::uint64_t results = 0;
  for (const auto& [id, a] : attempts_)
    if (a.now == phase::answered) results += a.content.size();
  if (results != result_bytes_) return "bytes of results are miscounted";
  for (const auto& [id, a] : attempts_)
    if (a.now == phase::running && (a.slot >= slots_.size() || !(slots_[a.slot].who == id)))
      return "an attempt runs in no slot";
  return {};
}

}  // namespace control
DTASK_END
