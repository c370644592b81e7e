// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::string_view distribution::offered(peer& p, wire::broadcast&& m, time_point now) {
  std::uint64_t size = m.value.whole.size();
  for (const std::uint64_t length : m.value.lengths) size += length;
  if (sessions_[p.index].receiving != 0) return "a broadcast before the last one had ended";
  if (m.kind == wire::blob_kind::fetched || (m.kind == wire::blob_kind::withdrawn && size != 0))
    return "a broadcast of an impossible kind";
  take(p, std::move(m), size, now);
  return {};
}

DTASK_INLINE void distribution::take(peer& p, wire::broadcast&& m, std::uint64_t size, time_point now) {
  session_record& r = sessions_[p.index];
  if (r.broadcasts.holds(m.number)) {  // sent again after a break
    return out_.send(p, wire::broadcast_done{m.number, {}});
  }
  if (m.name.size() > max_broadcast_name)
    return failed(p.index, m.number, errc::too_large,
                  "the name of a broadcast takes " + std::to_string(m.name.size()) + " bytes, the limit is " +
                      std::to_string(max_broadcast_name),
                  "choose a shorter name", now);
  if (m.kind == wire::blob_kind::withdrawn) return withdraw(p.index, std::move(m), now);
  if (r.broadcasts.values().size() >= max_broadcast_names && r.broadcasts.find(m.name) == nullptr) {
    drop_marks(p.index);
    if (r.broadcasts.values().size() >= max_broadcast_names)
      return failed(p.index, m.number, errc::too_large,
                    "the session has " + std::to_string(max_broadcast_names) + " names of values already",
                    "withdraw what is not needed any more (cluster::withdraw), or join values", now);
  }
  if (sessions_.broadcast_bytes() + size > options_.broadcast_bytes)
    return failed(p.index, m.number, errc::too_large,
                  "the value takes " + std::to_string(size) + " bytes; " + std::to_string(sessions_.broadcast_bytes()) +
                      " of " + std::to_string(options_.broadcast_bytes) + " are taken",
                  "raise the coordinator's --broadcast-bytes (broadcast_bytes), or withdraw what is not "
                  "needed any more (cluster::withdraw)",
                  now);
  sessions_.reserve_broadcast(size);
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

DTASK_INLINE void distribution::verify(std::uint32_t s, cached_value&& value, time_point now) {
  const std::uint64_t number = value.number;
  if (options_.digest == nullptr || digest_of(options_.digest, *value.value) != value.hash) {
    sessions_.free_broadcast(value.value->held.size());
    return failed(s, number, errc::decode_failed, "the value that arrived does not have the hash that was announced",
                  "send it again", now);
  }
  hold(s, std::move(value), now);
}

/// Jobs that are submitted from now on find no value of this name; workers that may hold one are told to forget it.
DTASK_INLINE void distribution::withdraw(std::uint32_t s, wire::broadcast&& m, time_point now) {
  cached_value mark;
  mark.number = m.number;
  mark.kind = wire::blob_kind::withdrawn;
  mark.name = std::move(m.name);
  hold(s, std::move(mark), now);
  if (sessions_[s].broadcasts.many_marks()) drop_marks(s);
}

/// The value, or the mark, is what the session has under its name from now on.
DTASK_INLINE void distribution::hold(std::uint32_t s, cached_value&& value, time_point now) {
  const std::uint64_t number = value.number;
  sessions_.hold_broadcast(s, std::move(value));
  if (peer* const c = client_peer(s)) out_.send(*c, wire::broadcast_done{number, {}});
  for (std::uint32_t w = 0; w < workers_.bound(); ++w)
    if (workers_.live(w) && !workers_[w].gone && workers_[w].link != 0 &&
        workers_[w].serving(sessions_.id(s)) != nullptr)
      serve(w, s);
  unblock(s, now);
}

/// A mark is needed while a worker may hold a value of its name and has not confirmed to have forgotten it.
DTASK_INLINE void distribution::drop_marks(std::uint32_t s) {
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

DTASK_INLINE void distribution::failed(std::uint32_t s, std::uint64_t number, errc code, std::string text,
                                       std::string remedy, time_point now) {
  session_record& r = sessions_[s];
  r.broadcasts.settle(number);
  if (peer* const c = client_peer(s))
    out_.send(*c, wire::broadcast_done{
                      number,
                      {.code = code, .message = std::move(text), .place = "coordinator", .remedy = std::move(remedy)}});
  unblock(s, now);
}

/// Jobs whose broadcasts are held now can be placed.
DTASK_INLINE void distribution::unblock(std::uint32_t s, time_point now) {
  session_record& r = sessions_[s];
  for (std::uint32_t j = r.blocked.front(); j != none;) {
    const std::uint32_t following = job_list::next(jobs_, j);
    if (jobs_[j].broadcasts <= r.broadcasts.settled()) {
      lifecycle_.leave(j);
      lifecycle_.enqueue(j, false, now);
    }
    j = following;
  }
}

DTASK_INLINE void distribution::serve(std::uint32_t w, std::uint32_t s) {
  worker_record& r = workers_[w];
  const broadcast_cache& cache = sessions_[s].broadcasts;
  const std::uint64_t id = sessions_.id(s);
  served_session* served = r.serving(id);
  if (served == nullptr) {
    r.serves.push_back({id, 0, {}});
    served = &r.serves.back();
  }
  if (served->upto == cache.verified()) return;
  peer& p = *worker_peer(w);
  for (std::size_t i = cache.after(served->upto); i < cache.values().size(); ++i) tell(p, *served, cache.values()[i]);
  served->upto = cache.verified();
}

/// Tells a worker of a value, in the order of the link: what is placed there afterwards finds it.
DTASK_INLINE void distribution::tell(peer& p, served_session& served, const cached_value& v) {
  wire::blob head{served.session, v.number, v.kind, v.name, v.hash, {}};
  if (v.kind != wire::blob_kind::broadcast) {
    if (v.kind == wire::blob_kind::withdrawn) served.unconfirmed.push_back(v.number);
    constexpr std::size_t fixed = 64;
    const std::size_t size = fixed + v.name.size();
    if (!p.out.would_overtake()) return out_.send(p, std::move(head));
    p.out.push_whole(std::move(head), size, 0, served.session);
    return peers_.touch(p);
  }
  if (const error bad = wire::check_payload(1, v.size(), p.out.limits()))
    return out_.say(log_level::warning, "broadcast_not_held",
                    workers_[p.index].label + ": '" + v.name + "': " + bad.what());
  served.unconfirmed.push_back(v.number);
  p.out.push(std::move(head), v.value, 0, served.session);
  peers_.touch(p);
}

DTASK_INLINE void distribution::serve_again(std::uint32_t w) {
  peer& p = *worker_peer(w);
  for (served_session& served : workers_[w].serves)
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
}

DTASK_INLINE void distribution::fetched(peer& p, wire::fetch&& m) {
  const std::uint32_t s = sessions_.find(m.session);
  const cached_value* const v = s == none ? nullptr : sessions_[s].broadcasts.find(m.name);
  if (v == nullptr || v->value == nullptr) {
    const std::string text = s == none ? "its client session is over" : "there is no value of this name";
    return out_.send(
        p, wire::fetch_failed{
               m.session, std::move(m.name), {.code = errc::not_found, .message = text, .place = "coordinator"}});
  }
  if (const error bad = wire::check_payload(1, v->size(), p.out.limits()))
    return out_.send(p,
                     wire::fetch_failed{
                         m.session,
                         std::move(m.name),
                         {.code = bad.code(), .message = bad.cause(), .place = "coordinator", .remedy = bad.remedy()}});
  // One that asks again for what is on its way gets it once.
  const std::uint64_t key = fetched_value | v->number;
  bool under_way = false;
  p.out.each([&](std::uint64_t each, std::uint64_t group) { under_way |= each == key && group == m.session; });
  if (under_way) return;
  p.out.push(wire::blob{m.session, v->number, wire::blob_kind::fetched, v->name, v->hash, {}}, v->value, key,
             m.session);
  peers_.touch(p);
}

DTASK_INLINE void distribution::confirmed(peer& p, const wire::blob_done& m) {
  if (served_session* const served = workers_[p.index].serving(m.session)) std::erase(served->unconfirmed, m.number);
  if (m.why.code != errc::ok)
    out_.say(log_level::warning, "broadcast_not_held", workers_[p.index].label + ": " + m.why.message);
}

}  // namespace control
DTASK_END
