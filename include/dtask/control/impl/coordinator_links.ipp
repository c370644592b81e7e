// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: connections, and what goes out at the end of a batch. Included by coordinator_state.hpp
// only.
#include <algorithm>
#include <type_traits>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE coordinator_state::coordinator_state(const coordinator_options& options, std::uint64_t seed,
                                                  time_point now)
    : options_(options),
      random_(seed),
      epoch_(random_.next_key()),
      began_(now),
      // Ids of an earlier coordinator, which workers may still run jobs of, mean nothing here.
      jobs_(static_cast<std::uint32_t>(epoch_ >> 32), now),
      workers_(options_, jobs_, types_, static_cast<std::uint32_t>(epoch_ >> 24)),
      sessions_(options_, jobs_, ready_, static_cast<std::uint32_t>(epoch_ >> 16)),
      next_scan_(now + options.heartbeat / 4) {}

DTASK_INLINE void coordinator_state::emit(peer& to, wire::message&& what) {
  if (to.role == peer_role::closing) return;
  actions_.emplace_back(std::in_place_type<send>, to.link, std::move(what));
  peers_.sent(to);
}

DTASK_INLINE void coordinator_state::say(log_level level, std::string_view event, std::string text) {
  actions_.push_back(note{level, event, std::move(text)});
}

DTASK_INLINE void coordinator_state::opened(link_id link, std::string address, bool trusted, time_point now) {
  peer& p = peers_.insert(link, std::move(address), trusted, now);
  if (stopped_) return refuse(p, errc::closed, "the coordinator is shutting down");
  if (peers_.size() > options_.max_links || peers_.strangers() > options_.max_strangers)
    return refuse(p, errc::overloaded,
                  "too many connections: max_links " + std::to_string(options_.max_links) + ", without a hello " +
                      std::to_string(options_.max_strangers));
}

DTASK_INLINE void coordinator_state::heard(link_id link, time_point now) {
  if (peer* const p = peers_.find(link)) heard(*p, now);
}

DTASK_INLINE void coordinator_state::heard(peer& p, time_point now) {
  p.heard = now;
  if (p.role != peer_role::worker) return;
  if (workers_.hear(p.index, now)) say(log_level::info, "worker_back", workers_[p.index].label);
}

DTASK_INLINE void coordinator_state::received(link_id link, wire::message&& what, time_point now) {
  peer* const p = peers_.find(link);
  if (p == nullptr || p->role == peer_role::closing) return;
  heard(*p, now);
  if (p->role == peer_role::stranger && what.get_if<wire::hello>() == nullptr)
    return violation(*p, "something else before its hello");
  what.visit([&](auto& m) { on(*p, std::move(m), now); });
}

DTASK_INLINE void coordinator_state::closed(link_id link, const error& why, time_point now) {
  const std::unique_ptr<peer> p = peers_.take(link);
  if (p == nullptr) return;
  switch (p->role) {
    case peer_role::stranger:
      say(log_level::warning, "stranger_left", p->address + " without a hello: " + why.what());
      break;
    case peer_role::client:
      detach_session(p->index, *p, now);
      say(log_level::info, "client_detached", sessions_[p->index].label + ": " + why.what());
      break;
    case peer_role::worker: {
      workers_.detach(p->index, now);
      for (const incoming& i : p->in) drop_arriving(i);
      p->out.clear([](std::uint64_t) {});
      if (worker_record& w = workers_[p->index]; !w.process_end.empty())
        return lose(p->index, std::string(w.process_end), true, now);
      say(log_level::warning, "worker_detached", workers_[p->index].label + ": " + why.what());
      break;
    }
    case peer_role::observer:
    case peer_role::closing:
      break;
  }
}

DTASK_INLINE void coordinator_state::unsent(link_id link, std::size_t bytes, time_point) {
  peer* const p = peers_.find(link);
  if (p == nullptr) return;
  p->out.set_unsent(bytes);
  if (!p->out.empty()) peers_.touch(*p);
}

/// The last message of a link, and its end. What it was to us ends as for a broken link.
DTASK_INLINE void coordinator_state::refuse(peer& p, errc code, std::string text) {
  emit(p, wire::refuse{code, text});
  drop_link(p, error(code, std::move(text), p.address), false);
}

DTASK_INLINE void coordinator_state::drop_link(peer& p, const error& why, bool at_once) {
  if (p.role == peer_role::closing) return;
  say(p.role == peer_role::stranger ? log_level::warning : log_level::info,
      p.role == peer_role::stranger ? "refused" : "closing", why.what());
  actions_.push_back(close_link{p.link, why, at_once});
  // What the link stood for is let go now; the driver's `closed` then only removes the entry.
  peers_.set_role(p, peer_role::closing, p.index);
}

DTASK_INLINE void coordinator_state::violation(peer& p, std::string_view what) {
  const error why(errc::protocol_error, "the peer sent " + std::string(what), p.address,
                  "is it a dtask program of this version?");
  const peer_role was = p.role;
  const std::uint32_t index = p.index;
  const time_point now = p.heard;
  emit(p, wire::refuse{why.code(), why.cause()});
  if (was == peer_role::client) detach_session(index, p, now);
  if (was == peer_role::worker) {
    drop_link(p, why, false);
    return lose(index, why.what(), false, now);
  }
  drop_link(p, why, false);
}

// ---- hello ----

DTASK_INLINE void coordinator_state::on(peer& p, wire::hello&& m, time_point now) {
  if (p.role != peer_role::stranger) return violation(p, "a second hello");
  if (m.name.size() > max_peer_name) m.name.resize(max_peer_name);
  if (m.host.size() > max_peer_name) m.host.resize(max_peer_name);
  const std::string who = "'" + m.name + "' at " + m.host + " (" + p.address + ")";
  if (m.version_min > wire::protocol_version || m.version_max < wire::protocol_version)
    return refuse(p, errc::version_mismatch,
                  "the coordinator speaks protocol version " + std::to_string(wire::protocol_version) + ", " + who +
                      " speaks " + std::to_string(m.version_min) + " to " + std::to_string(m.version_max) +
                      ": build both with the same dtask");
  if (options_.cookie != 0 && !p.trusted && m.cookie != options_.cookie)
    return refuse(p, errc::refused, who + " does not carry the cookie of this launcher");
  if (draining_ && m.session == 0 && m.role != wire::role::observer)
    return refuse(p, errc::closed, "the coordinator is shutting down");
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

DTASK_INLINE void coordinator_state::send_welcome(peer& p, const wire::hello& m, std::uint64_t id, std::uint64_t key,
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
  emit(p, std::move(w));
  actions_.push_back(set_limits{p.link, agreed});
  p.out.set_limits(agreed);
  if (m.role == wire::role::client) p.out.start_when_starved();
}

DTASK_INLINE void coordinator_state::welcome_client(peer& p, wire::hello&& m, time_point now) {
  const std::string label = m.host + "/" + m.name;
  if (m.session != 0 && m.epoch == epoch_) {
    const std::uint32_t s = sessions_.find(m.session);
    if (s != none && sessions_[s].key == m.key && sessions_[s].types.size() == m.jobs.size()) {
      session_record& r = sessions_[s];
      if (peer* const old = peers_.find(r.link)) {  // the client gave its link up before we did
        detach_session(s, *old, now);
        drop_link(*old, error(errc::closed, "the client came back on another connection", old->address), true);
      }
      peers_.set_role(p, peer_role::client, s);
      sessions_.attach(s, p.link);
      send_welcome(p, m, sessions_.id(s), r.key, true,
                   options_.session_bytes > r.held ? options_.session_bytes - r.held : 0, options_.session_bytes);
      say(log_level::info, "client_resumed", r.label);
      return resume(s, now);
    }
  }
  std::vector<std::uint16_t> types;
  types.reserve(m.jobs.size());
  for (const wire::job_type& t : m.jobs) {
    const std::uint32_t id = types_.acquire(t);
    if (id == none) {
      for (const std::uint16_t taken : types) types_.release(taken);
      return refuse(p, errc::overloaded, "the coordinator knows too many job types already");
    }
    types.push_back(static_cast<std::uint16_t>(id));
  }
  const std::uint32_t s = sessions_.insert(label, std::move(types));
  session_record& r = sessions_[s];
  r.key = random_.next_key();
  r.turn = turn_;
  sessions_.attach(s, p.link);
  peers_.set_role(p, peer_role::client, s);
  send_welcome(p, m, sessions_.id(s), r.key, false, options_.session_bytes, options_.session_bytes);
  say(log_level::info, "client_joined", label + " from " + p.address);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::goodbye&& m, time_point now) {
  if (p.role == peer_role::client) {
    const std::uint32_t s = p.index;
    say(log_level::info, "client_left", sessions_[s].label + (m.reason.empty() ? "" : ": " + m.reason));
    detach_session(s, p, now);  // what was still arriving is let go, as with a broken link
    drop_link(p, error(errc::closed, "the client said goodbye", p.address), false);
    return end_session(s, "its client left", now);
  }
  if (p.role == peer_role::worker) {
    const std::uint32_t w = p.index;
    say(log_level::info, "worker_left", workers_[w].label + (m.reason.empty() ? "" : ": " + m.reason));
    drop_link(p, error(errc::closed, "the worker said goodbye", p.address), false);
    return lose(w, m.reason.empty() ? "it left" : m.reason, false, now);
  }
  drop_link(p, error(errc::closed, "the observer said goodbye", p.address), false);
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::ping&& m, time_point) { emit(p, wire::pong{m.stamp}); }

DTASK_INLINE void coordinator_state::on(peer& p, wire::status_query&& m, time_point now) {
  cluster_status r = report(now);
  // As many workers as a frame of this link holds; the sums are over all of them.
  constexpr std::size_t others = 1024, each = 120 + 16;  // bytes besides their names
  std::size_t size = others, fit = 0;
  for (const worker_status& w : r.workers) {
    size += each + w.name.size() + w.host.size();
    if (size > p.out.limits().frame_body) break;
    ++fit;
  }
  if (fit < r.workers.size())
    say(log_level::warning, "status_cut",
        "the status for " + p.address + " names " + std::to_string(fit) + " of " + std::to_string(r.workers.size()) +
            " workers: a frame of " + std::to_string(p.out.limits().frame_body) +
            " bytes holds no more; raise limits.frame_body in the options of coordinator and worker");
  r.workers.resize(fit);
  emit(p, wire::status_report{m.request, std::move(r)});
}

// ---- payloads on their way in ----

DTASK_INLINE void coordinator_state::on(peer& p, wire::chunk&& m, time_point now) {
  incoming* const at = p.in.find_if([&m](const incoming& i) { return i.transfer == m.transfer; });
  if (at == nullptr) {  // given up here; its sender has not heard of it yet
    if (p.role == peer_role::worker) {
      workers_[p.index].owed_credit += m.data.size();
      peers_.touch(p);
    }
    return;
  }
  if (const error bad = at->from->accept(std::move(m))) return violation(p, bad.cause());
  const bool complete = at->from->complete();
  incoming done;
  if (complete) {
    done = std::move(*at);
    p.in.erase(at);
  }
  const incoming& what = complete ? done : *at;
  const std::uint32_t j = what.what == payload_of::broadcast ? none : jobs_.find(what.job);
  switch (what.what) {
    case payload_of::arguments:
      if (j != none && jobs_[j].attempt_live)
        if (peer* const w = worker_peer(jobs_[j].worker)) peers_.touch(*w);
      break;
    case payload_of::result: {
      const bool mine =
          j != none && jobs_[j].attempt_live && jobs_[j].fence == what.fence && jobs_[j].worker == p.index;
      const bool wanted = mine && jobs_[j].rarely && jobs_[j].rarely->answer == what.from;
      if (complete) {
        p.acks.push_back(what.job);
        p.acks_due = true;
        peers_.touch(p);
      }
      if (!wanted) {
        workers_[p.index].owed_credit += std::exchange(what.from->owed, 0);
        for (bytes& block : what.from->held.blocks) block = {};
        peers_.touch(p);
        if (complete && mine && jobs_[j].phase == job_phase::finished) {
          workers_.end_attempt(j);
          reclaim(j);
        }
      } else if (complete) {
        jobs_[j].held.put(done.from);
        succeed(j, now);
      } else if (peer* const c = peers_.find(sessions_[jobs_[j].session].link)) {
        peers_.touch(*c);
      }
      break;
    }
    case payload_of::broadcast:
      if (!complete) break;
      sessions_[p.index].receiving = 0;
      verify(p.index, std::move(done.value), now);
      break;
  }
}

DTASK_INLINE void coordinator_state::on(peer& p, wire::abort_transfer&& m, time_point now) {
  incoming* const at = p.in.find_if([&m](const incoming& i) { return i.transfer == m.transfer; });
  if (at == nullptr) return;
  const incoming gone = std::move(*at);
  p.in.erase(at);
  const std::uint32_t j = gone.what == payload_of::broadcast ? none : jobs_.find(gone.job);
  switch (gone.what) {
    case payload_of::arguments:
      if (j != none && jobs_[j].phase != job_phase::finished) {
        m.why.code = m.why.code == errc::ok ? errc::cancelled : m.why.code;
        finish(j, std::move(m.why), now);
      }
      break;
    case payload_of::result: {
      const bool wanted = drop_arriving(gone);
      if (j == none || !jobs_[j].attempt_live || jobs_[j].fence != gone.fence || jobs_[j].worker != p.index) break;
      if (!wanted && jobs_[j].phase != job_phase::finished) break;  // another of its results is on its way
      p.acks.push_back(gone.job);
      peers_.touch(p);
      answered(j, {errc::worker_lost, {}, "its worker took the result back", place_of(j), {}}, now);
      break;
    }
    case payload_of::broadcast:
      sessions_.free_broadcast(gone.from->held.size());
      sessions_[p.index].receiving = 0;
      broadcast_failed(p.index, gone.value.number, errc::cancelled, "its client took it back", {}, now);
      break;
  }
}

}  // namespace control
DTASK_END
