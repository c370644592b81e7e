// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: client sessions and their broadcasts. Included by coordinator_state.hpp only.
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint32_t coordinator_state::job_of(const session_record& s, std::uint64_t call) const noexcept {
  const auto position = static_cast<std::uint32_t>(call);
  const std::uint32_t j = s.by_call.at(position);
  return j != none && jobs_[j].call == call ? j : none;
}

/// The client is back: it hears which calls have arrived, and gets every result again that it has not acknowledged.
DTASK_INLINE void coordinator_state::resume(std::uint32_t s, time_point) {
  session_record& r = sessions_[s];
  peer& p = *find(r.link);
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
      touch(p);
    }
  }
}

/// The link to the client is gone; the session waits for it. What had not arrived whole was never accepted: the client
/// sends it again.
DTASK_INLINE void coordinator_state::detach_session(std::uint32_t s, peer& p, time_point now) {
  session_record& r = sessions_[s];
  r.link = 0;
  r.detached_at = now;
  p.out.clear([](std::uint64_t) {});
  for (incoming& i : std::exchange(p.in, {})) {
    if (i.what == payload_of::broadcast) {
      broadcast_bytes_ -= i.from->held.size();
      r.receiving = 0;
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
  r.link = 0;
  std::uint64_t open = 0;
  const std::vector<std::uint32_t> calls = std::exchange(r.by_call, {}).jobs();
  result_bytes_ -= r.results;
  for (const std::uint32_t j : calls) {
    if (jobs_[j].phase != job_phase::finished) {
      ++open;
      jobs_[j].cancelled = true;
      leave(j);
    }
    held_bytes_ -= jobs_[j].cost;
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
  broadcast_bytes_ -= r.broadcasts.bytes();
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

// ---- broadcasts from clients ----

DTASK_INLINE void coordinator_state::on(peer& p, wire::broadcast&& m, time_point now) {
  if (p.role != kind::client) return violation(p, "a broadcast, without being a client");
  session_record& r = sessions_[p.index];
  std::uint64_t size = m.value.whole.size();
  for (const std::uint64_t length : m.value.lengths) size += length;
  if (r.receiving != 0) return violation(p, "a broadcast before the last one had ended");
  if (r.broadcasts.holds(m.number)) {  // sent again after a break
    emit(p, wire::broadcast_done{m.number, {}});
    return;
  }
  if (m.name.size() > max_broadcast_name)
    return broadcast_failed(p.index, m.number, errc::too_large,
                            "the name of a broadcast takes " + std::to_string(m.name.size()) + " bytes, the limit is " +
                                std::to_string(max_broadcast_name),
                            "choose a shorter name", now);
  if (m.kind == wire::blob_kind::fetched || (m.kind == wire::blob_kind::withdrawn && size != 0))
    return violation(p, "a broadcast of an impossible kind");
  if (m.kind == wire::blob_kind::withdrawn) return withdraw(p.index, std::move(m), now);
  if (r.broadcasts.values().size() >= max_broadcast_names && r.broadcasts.find(m.name) == nullptr) {
    drop_marks(p.index);
    if (r.broadcasts.values().size() >= max_broadcast_names)
      return broadcast_failed(p.index, m.number, errc::too_large,
                              "the session has " + std::to_string(max_broadcast_names) + " names of values already",
                              "withdraw what is not needed any more (cluster::withdraw), or join values", now);
  }
  if (broadcast_bytes_ + size > options_.broadcast_bytes)
    return broadcast_failed(p.index, m.number, errc::too_large,
                            "the value takes " + std::to_string(size) + " bytes; " + std::to_string(broadcast_bytes_) +
                                " of " + std::to_string(options_.broadcast_bytes) + " are taken",
                            "raise the coordinator's --broadcast-bytes (broadcast_bytes), or withdraw what is not "
                            "needed any more (cluster::withdraw)",
                            now);
  broadcast_bytes_ += size;
  cached_value value;
  value.number = m.number;
  value.kind = m.kind;
  value.name = std::move(m.name);
  value.hash = m.hash;
  if (m.value.transfer == 0) {
    value.value = make_stream(m.value.whole);
    return verify(p.index, std::move(value), now);
  }
  value.value = make_stream(std::move(m.value.lengths));
  if (value.value->complete()) return verify(p.index, std::move(value), now);
  r.receiving = m.number;
  std::shared_ptr<stream> from = value.value;
  p.in.push_back({m.value.transfer, payload_of::broadcast, 0, 0, std::move(value), std::move(from)});
}

DTASK_INLINE void coordinator_state::verify(std::uint32_t s, cached_value&& value, time_point now) {
  const std::uint64_t number = value.number;
  if (options_.digest == nullptr || digest_of(options_.digest, *value.value) != value.hash) {
    broadcast_bytes_ -= value.value->held.size();
    return broadcast_failed(s, number, errc::decode_failed,
                            "the value that arrived does not have the hash that was announced", "send it again", now);
  }
  hold(s, std::move(value), now);
}

/// Jobs that are submitted from now on find no value of this name; workers that may hold one are told to forget it.
DTASK_INLINE void coordinator_state::withdraw(std::uint32_t s, wire::broadcast&& m, time_point now) {
  cached_value mark;
  mark.number = m.number;
  mark.kind = wire::blob_kind::withdrawn;
  mark.name = std::move(m.name);
  hold(s, std::move(mark), now);
  if (sessions_[s].broadcasts.many_marks()) drop_marks(s);
}

/// The value, or the mark, is what the session has under its name from now on.
DTASK_INLINE void coordinator_state::hold(std::uint32_t s, cached_value&& value, time_point now) {
  session_record& r = sessions_[s];
  const std::uint64_t number = value.number;
  broadcast_bytes_ -= r.broadcasts.insert(std::move(value));
  r.broadcasts.settle(number);
  if (peer* const c = find(r.link)) emit(*c, wire::broadcast_done{number, {}});
  for (std::uint32_t w = 0; w < workers_.bound(); ++w)
    if (workers_.live(w) && !workers_[w].gone && workers_[w].link != 0 &&
        workers_[w].serving(sessions_.id(s)) != nullptr)
      serve(w, s);
  unblock(s, now);
}

/// A mark is needed while a worker may hold a value of its name and has not confirmed to have forgotten it.
DTASK_INLINE void coordinator_state::drop_marks(std::uint32_t s) {
  const std::uint64_t id = sessions_.id(s);
  std::vector<const served_session*> told;
  for (std::uint32_t w = 0; w < workers_.bound(); ++w)
    if (workers_.live(w) && !workers_[w].gone)
      if (const served_session* const served = workers_[w].serving(id)) told.push_back(served);
  sessions_[s].broadcasts.drop_marks([&](const cached_value& mark) {
    for (const served_session* served : told)
      if (served->upto < mark.order ||
          std::find(served->unconfirmed.begin(), served->unconfirmed.end(), mark.number) != served->unconfirmed.end())
        return false;
    return true;
  });
}

DTASK_INLINE void coordinator_state::broadcast_failed(std::uint32_t s, std::uint64_t number, errc code,
                                                      std::string text, std::string remedy, time_point now) {
  session_record& r = sessions_[s];
  r.broadcasts.settle(number);
  if (peer* const c = find(r.link))
    emit(*c, wire::broadcast_done{number, {code, {}, std::move(text), "coordinator", std::move(remedy)}});
  unblock(s, now);
}

/// Jobs whose broadcasts are held now can be placed.
DTASK_INLINE void coordinator_state::unblock(std::uint32_t s, time_point now) {
  session_record& r = sessions_[s];
  for (std::uint32_t j = r.blocked.front(); j != none;) {
    const std::uint32_t following = job_list::next(jobs_, j);
    if (jobs_[j].broadcasts <= r.broadcasts.settled()) {
      leave(j);
      enqueue(j, false, now);
    }
    j = following;
  }
}

}  // namespace control
DTASK_END
