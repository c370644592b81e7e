// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::string reception::chunk(peer& p, wire::chunk&& m, time_point now) {
  incoming* const at = p.in.find_if([&m](const incoming& i) { return i.transfer == m.transfer; });
  if (at == nullptr) {  // given up here; its sender has not heard of it yet
    if (p.role == peer_role::worker) {
      workers_.owe(p.index, m.data.size());
      peers_.touch(p);
    }
    return {};
  }
  if (const error bad = at->from->accept(std::move(m))) return bad.cause();
  advanced(p, at, now);
  return {};
}

DTASK_INLINE void reception::advanced(peer& p, incoming* at, time_point now) {
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
        workers_.owe(p.index, std::exchange(what.from->owed, 0));
        for (bytes& block : what.from->held.blocks) block = {};
        peers_.touch(p);
        if (complete && mine && jobs_[j].phase == job_phase::finished) {
          workers_.end_attempt(j);
          delivery_.reclaim(j);
        }
      } else if (complete) {
        jobs_[j].held.put(done.from);
        lifecycle_.succeed(j);
      } else if (peer* const c = client_peer(jobs_[j].session)) {
        peers_.touch(*c);
      }
      break;
    }
    case payload_of::broadcast:
      if (!complete) break;
      sessions_[p.index].receiving = 0;
      distribution_.verify(p.index, std::move(done.value), now);
      break;
  }
}

DTASK_INLINE void reception::aborted(peer& p, wire::abort_transfer&& m, time_point now) {
  incoming* const at = p.in.find_if([&m](const incoming& i) { return i.transfer == m.transfer; });
  if (at == nullptr) return;
  const incoming gone = std::move(*at);
  p.in.erase(at);
  const std::uint32_t j = gone.what == payload_of::broadcast ? none : jobs_.find(gone.job);
  switch (gone.what) {
    case payload_of::arguments:
      if (j != none && jobs_[j].phase != job_phase::finished) {
        m.why.code = m.why.code == errc::ok ? errc::cancelled : m.why.code;
        lifecycle_.finish(j, std::move(m.why));
      }
      break;
    case payload_of::result: {
      const bool wanted = delivery_.drop_arriving(gone);
      if (j == none || !jobs_[j].attempt_live || jobs_[j].fence != gone.fence || jobs_[j].worker != p.index) break;
      if (!wanted && jobs_[j].phase != job_phase::finished) break;  // another of its results is on its way
      p.acks.push_back(gone.job);
      peers_.touch(p);
      lifecycle_.answered(
          j, {.code = errc::worker_lost, .message = "its worker took the result back", .place = delivery_.place_of(j)},
          now);
      break;
    }
    case payload_of::broadcast:
      sessions_.free_broadcast(gone.from->held.size());
      sessions_[p.index].receiving = 0;
      distribution_.failed(p.index, gone.value.number, errc::cancelled, "its client took it back", {}, now);
      break;
  }
}

}  // namespace control
DTASK_END
