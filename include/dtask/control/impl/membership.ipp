// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void membership::hello(peer& p, wire::hello&& m, bool draining, time_point now) {
  if (p.role != peer_role::stranger) return violation(p, "a second hello");
  if (m.name.size() > max_peer_name) m.name.resize(max_peer_name);
  if (m.host.size() > max_peer_name) m.host.resize(max_peer_name);
  const std::string who = "'" + m.name + "' at " + m.host + " (" + p.address + ")";
  if (m.version_min > wire::protocol_version || m.version_max < wire::protocol_version)
    return out_.refuse(p, errc::version_mismatch,
                       "the coordinator speaks protocol version " + std::to_string(wire::protocol_version) + ", " +
                           who + " speaks " + std::to_string(m.version_min) + " to " + std::to_string(m.version_max) +
                           ": build both with the same dtask");
  if (options_.cookie != 0 && !p.trusted && m.cookie != options_.cookie)
    return out_.refuse(p, errc::refused, who + " does not carry the cookie of this launcher");
  if (draining && m.session == 0 && m.role != wire::role::observer)
    return out_.refuse(p, errc::closed, "the coordinator is shutting down");
  switch (m.role) {
    case wire::role::client:
      return welcome_client(p, std::move(m), now);
    case wire::role::worker:
      return welcome_worker(p, std::move(m), now);
    case wire::role::observer:
      peers_.set_role(p, peer_role::observer, none);
      return send_welcome(p, m, 0, 0, false, 0, 0);
  }
  violation(p, "an unknown role");
}

DTASK_INLINE void membership::send_welcome(peer& p, const wire::hello& m, std::uint64_t id, std::uint64_t key,
                                           bool resumed, std::uint64_t credit, std::uint64_t window) {
  const wire::limits& mine = options_.limits;
  wire::limits agreed;
  agreed.frame_body = std::min(mine.frame_body, m.limits.frame_body);
  agreed.frame_blobs = std::min(mine.frame_blobs, m.limits.frame_blobs);
  agreed.blobs = std::min(mine.blobs, m.limits.blobs);
  agreed.payload = std::min(mine.payload, m.limits.payload);
  agreed.transfers = std::min(mine.transfers, m.limits.transfers);
  agreed.jobs = std::min(mine.jobs, m.limits.jobs);
  wire::welcome w;
  w.limits = agreed;
  w.epoch = epoch_;
  w.session = id;
  w.key = key;
  w.resumed = resumed;
  w.heartbeat = options_.heartbeat;
  w.lost_after = options_.lost_after;
  w.credit = credit;
  w.window = window;
  out_.send(p, std::move(w));
  out_.act(set_limits{p.link, agreed});
  p.out.set_limits(agreed);
  if (m.role == wire::role::client) p.out.start_when_starved();
}

DTASK_INLINE void membership::welcome_client(peer& p, wire::hello&& m, time_point now) {
  const std::string label = m.host + "/" + m.name;
  if (m.session != 0 && m.epoch == epoch_) {
    const std::uint32_t s = sessions_.find(m.session);
    if (s != none && sessions_[s].key == m.key && sessions_[s].types.size() == m.jobs.size()) {
      session_record& r = sessions_[s];
      if (peer* const old = peers_.find(r.link)) {  // the client gave its link up before we did
        detach_session(s, *old, now);
        out_.close(*old, error(errc::closed, "the client came back on another connection", old->address), true);
      }
      peers_.set_role(p, peer_role::client, s);
      sessions_.attach(s, p.link);
      send_welcome(p, m, sessions_.id(s), r.key, true,
                   options_.session_bytes > r.held_bytes ? options_.session_bytes - r.held_bytes : 0,
                   options_.session_bytes);
      out_.say(log_level::info, "client_resumed", r.label);
      return resume(s);
    }
  }
  std::vector<std::uint16_t> types;
  types.reserve(m.jobs.size());
  for (const wire::job_type& t : m.jobs) {
    const std::uint32_t id = types_.acquire(t);
    if (id == none) {
      for (const std::uint16_t taken : types) types_.release(taken);
      return out_.refuse(p, errc::overloaded, "the coordinator knows too many job types already");
    }
    types.push_back(static_cast<std::uint16_t>(id));
  }
  const std::uint32_t s = sessions_.insert(label, std::move(types));
  session_record& r = sessions_[s];
  r.key = random_.next_key();
  sessions_.attach(s, p.link);
  peers_.set_role(p, peer_role::client, s);
  send_welcome(p, m, sessions_.id(s), r.key, false, options_.session_bytes, options_.session_bytes);
  out_.say(log_level::info, "client_joined", label + " from " + p.address);
}

DTASK_INLINE void membership::welcome_worker(peer& p, wire::hello&& m, time_point now) {
  if (m.session != 0 && m.epoch == epoch_) {
    const std::uint32_t w = workers_.find(m.session);
    if (w != none && !workers_[w].gone && workers_[w].key == m.key && workers_[w].positions.size() <= m.jobs.size()) {
      worker_record& r = workers_[w];
      if (peer* const old = peers_.find(r.link)) {
        r.link = 0;
        for (const incoming& i : std::exchange(old->in, {})) delivery_.drop_arriving(i);
        out_.close(*old, error(errc::closed, "the worker came back on another connection", old->address), true);
      }
      peers_.set_role(p, peer_role::worker, w);
      workers_.attach(w, p.link, now);
      send_welcome(p, m, workers_.id(w), r.key, true, options_.result_bytes, options_.result_bytes);
      out_.say(log_level::info, "worker_back", r.label);
      return reattach(w, m, now);
    }
  }
  std::vector<std::pair<std::uint16_t, std::uint32_t>> positions;
  for (std::uint32_t i = 0; i < m.jobs.size(); ++i) {
    const std::uint32_t t = types_.acquire(m.jobs[i]);
    if (t == none) {
      for (const auto& [type, position] : positions) types_.release(type);
      return out_.refuse(p, errc::overloaded, "the coordinator knows too many job types already");
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
  workers_.note_process_end({});
  out_.say(log_level::info, "worker_joined",
           r.label + " from " + p.address + " with " + std::to_string(r.slots) + " slots and " +
               std::to_string(r.positions.size()) + " jobs");
  for (const std::uint16_t t : r.kind->types) {
    workers_.offer(w, t);
    // Jobs of the same name and another schema that nobody runs can be told why now.
    const std::vector<std::uint32_t> same_name = types_.named(types_[t].name);
    for (const std::uint32_t other : same_name)
      if (other != t) placement_.type_without_workers(static_cast<std::uint16_t>(other), now);
  }
  workers_.reload(w);
}

DTASK_INLINE void membership::goodbye(peer& p, const wire::goodbye& m, time_point now) {
  if (p.role == peer_role::client) {
    const std::uint32_t s = p.index;
    out_.say(log_level::info, "client_left", sessions_[s].label + (m.reason.empty() ? "" : ": " + m.reason));
    detach_session(s, p, now);  // what was still arriving is let go, as with a broken link
    out_.close(p, error(errc::closed, "the client said goodbye", p.address), false);
    return end_session(s, "its client left");
  }
  if (p.role == peer_role::worker) {
    const std::uint32_t w = p.index;
    out_.say(log_level::info, "worker_left", workers_[w].label + (m.reason.empty() ? "" : ": " + m.reason));
    out_.close(p, error(errc::closed, "the worker said goodbye", p.address), false);
    return lose(w, m.reason.empty() ? "it left" : m.reason, false, now);
  }
  out_.close(p, error(errc::closed, "the observer said goodbye", p.address), false);
}

DTASK_INLINE void membership::closed(link_id link, const error& why, time_point now) {
  const std::unique_ptr<peer> p = peers_.take(link);
  if (p == nullptr) return;
  switch (p->role) {
    case peer_role::stranger:
      out_.say(log_level::warning, "stranger_left", p->address + " without a hello: " + why.what());
      break;
    case peer_role::client:
      detach_session(p->index, *p, now);
      out_.say(log_level::info, "client_detached", sessions_[p->index].label + ": " + why.what());
      break;
    case peer_role::worker: {
      workers_.detach(p->index, now);
      for (const incoming& i : p->in) delivery_.drop_arriving(i);
      p->out.clear([](std::uint64_t) {});
      if (worker_record& w = workers_[p->index]; !w.process_end.empty())
        return lose(p->index, std::string(w.process_end), true, now);
      out_.say(log_level::warning, "worker_detached", workers_[p->index].label + ": " + why.what());
      break;
    }
    case peer_role::observer:
    case peer_role::closing:
      break;
  }
}

DTASK_INLINE void membership::heard(peer& p, time_point now) {
  p.heard = now;
  if (p.role != peer_role::worker) return;
  if (workers_.hear(p.index, now)) out_.say(log_level::info, "worker_back", workers_[p.index].label);
}

DTASK_INLINE void membership::violation(peer& p, std::string_view what) {
  const error why(errc::protocol_error, "the peer sent " + std::string(what), p.address,
                  "is it a dtask program of this version?");
  const peer_role was = p.role;
  const std::uint32_t index = p.index;
  const time_point now = p.heard;
  out_.send(p, wire::refuse{why.code(), why.cause()});
  if (was == peer_role::client) detach_session(index, p, now);
  if (was == peer_role::worker) {
    out_.close(p, why, false);
    return lose(index, why.what(), false, now);
  }
  out_.close(p, why, false);
}

DTASK_INLINE void membership::slots(peer& p, const wire::slots& m) {
  const worker_record& w = workers_[p.index];
  if (m.lost > w.lost)
    out_.say(log_level::warning, "slot_lost",
             w.label + ": " + std::to_string(m.lost) + " of " + std::to_string(w.slots) +
                 " slots are held by jobs that ignore stop");
  workers_.set_slots(p.index, m.usable, m.lost);
}

DTASK_INLINE void membership::drain(peer& p, time_point now) {
  worker_record& w = workers_[p.index];
  if (w.draining) return;
  out_.say(log_level::info, "worker_drains", w.label);
  stop_taking(p.index, now);
}

DTASK_INLINE void membership::pong(peer& p, const wire::pong& m) {
  worker_record& w = workers_[p.index];
  if (m.stamp <= w.ends_confirmed) return;
  const std::uint64_t count = std::min<std::uint64_t>(m.stamp - w.ends_confirmed, w.ended.size());
  w.ended.erase(w.ended.begin(), w.ended.begin() + static_cast<std::ptrdiff_t>(count));
  w.ends_confirmed += count;
}

DTASK_INLINE void membership::scan(time_point now) {
  next_scan_ = now + options_.heartbeat / 4;
  std::vector<std::uint32_t> lost;
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    if (!workers_.live(w) || workers_[w].gone) continue;
    worker_record& r = workers_[w];
    if (peer* const p = r.ended.empty() ? nullptr : worker_peer(w))
      out_.send(*p, wire::ping{r.ends_confirmed + r.ended.size()});
    if (now >= r.link_ends_by) {
      lost.push_back(w);
      continue;
    }
    next_scan_ = std::min(next_scan_, r.link_ends_by);
    if (!workers_.advance(w, now)) continue;
    if (r.lease.state == lease_state::suspect) out_.say(log_level::warning, "worker_suspect", r.label + " is silent");
    if (r.lease.state == lease_state::lost) lost.push_back(w);
  }
  for (const std::uint32_t w : lost) {
    const bool was_detached = workers_[w].link == 0;
    if (peer* const p = worker_peer(w))
      out_.close(*p, error(errc::worker_lost, "the worker is silent", workers_[w].label), true);
    lose(w,
         !workers_[w].process_end.empty() ? std::string(workers_[w].process_end)
         : was_detached                   ? "its connection broke and it did not come back"
                                          : "it was silent for too long",
         true, now);
  }
  std::vector<std::uint32_t> over;
  for (std::uint32_t s = 0; s < sessions_.bound(); ++s)
    if (sessions_.live(s) && sessions_[s].link == 0 &&
        now >= deadline_after(sessions_[s].detached_at, options_.session_grace))
      over.push_back(s);
  for (const std::uint32_t s : over) {
    out_.say(log_level::warning, "session_over", sessions_[s].label + " did not come back");
    end_session(s, "its client was lost");
  }
  for (auto& [link, p] : peers_) {
    if (p->role == peer_role::stranger && now >= deadline_after(p->opened, options_.hello_within))
      out_.close(*p, error(errc::refused, "no hello within the stated time", p->address), true);
    else if (p->role == peer_role::client && now >= deadline_after(p->heard, options_.lost_after)) {
      detach_session(p->index, *p, now);
      out_.close(*p, error(errc::closed, "the client is silent", p->address), true);
    } else if (p->role == peer_role::observer && now >= deadline_after(p->heard, options_.lost_after))
      out_.close(*p, error(errc::closed, "the observer is silent", p->address), true);
  }
}

}  // namespace control
DTASK_END
