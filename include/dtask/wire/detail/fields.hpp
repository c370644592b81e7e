// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <limits>

#include "dtask/base/config.hpp"
#include "dtask/wire/detail/codec.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace wire::detail {

// The fields of each message, in the order in which they stand in the frame. One list serves the writer and the reader.
// `a.id` and `a.extra` stand in the frame's head.

inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

template <class A>
void fields(A& a, limits& m) {
  a(m.frame_body), a(m.frame_blobs), a(m.blobs), a(m.payload), a(m.transfers), a(m.jobs);
  a.require(m.frame_body >= 2 * frame_reserve && m.frame_blobs >= 4 * splice_over && m.blobs >= 1 && m.transfers >= 1,
            "its limits are too small to work with");
}
template <class A>
void fields(A& a, failure& m) {
  a.choice(m.code, static_cast<errc>(0xffff));  // a code that this version does not know is still a code
  a.text(m.type), a.text(m.message), a.text(m.place), a.text(m.remedy);
}
template <class A>
void fields(A& a, digest& m) {
  a(m[0]), a(m[1]);
}
template <class A>
void fields(A& a, retry_policy& m) {
  a(m.retries), a(m.backoff), a(m.max_backoff), a(m.on_exception);
}

template <class A>
void fields(A& a, memory_use& m) {
  a(m.blocks), a(m.idle), a(m.links), a(m.arguments), a(m.results), a(m.broadcasts), a(m.resident);
}

template <class A>
void fields(A& a, hello& m) {
  a(m.version_min), a(m.version_max), a.choice(m.role, role::observer);
  fields(a, m.limits);
  a.text(m.name), a.text(m.host), a(m.pid), a(m.slots), a(m.session), a(m.key), a(m.epoch), a(m.cookie);
  a.template list<21>(m.jobs, limits{}.jobs, [](A& each, job_type& j) {
    std::uint32_t reserved = 0;  // for what a job needs (later)
    each.name(j.name), each(j.schema), each.brief(j.signature), each(reserved);
  });
  a.template list<13>(m.running, no_limit,
                      [](A& each, hello::running_job& r) { each(r.job), each(r.fence), each(r.started); });
}
template <class A>
void fields(A& a, welcome& m) {
  a(m.version);
  fields(a, m.limits);
  a(m.epoch), a(m.session), a(m.key), a(m.resumed), a(m.heartbeat), a(m.lost_after), a(m.credit), a(m.window);
}
template <class A>
void fields(A& a, refuse& m) {
  a.choice(m.code, static_cast<errc>(0xffff)), a.text(m.text);
}
template <class A>
void fields(A& a, goodbye& m) {
  a.text(m.reason);
}
template <class A>
void fields(A& a, ping& m) {
  a.id(m.stamp);
}
template <class A>
void fields(A& a, pong& m) {
  a.id(m.stamp);
}
template <class A>
void fields(A& a, chunk& m) {
  a.id(m.transfer), a(m.offset), a(m.part), a(m.within), a.part(m.data);
}
template <class A>
void fields(A& a, abort_transfer& m) {
  a.id(m.transfer), fields(a, m.why);
}
template <class A>
void fields(A& a, credit& m) {
  a.id(m.bytes);
}

template <class A>
void fields(A& a, submit& m) {
  a.id(m.call), a.extra(m.job), a.choice(m.effect_class, effect::pure), a(m.watch), a(m.attempts), a(m.broadcasts),
      a(m.remaining), a(m.no_worker_after);
  fields(a, m.retry);
  a(m.arguments);
}
template <class A>
void fields(A& a, cancel& m) {
  a.id(m.call);
}
template <class A>
void fields(A& a, wire::result& m) {
  a.id(m.call), a.extra(m.attempts), fields(a, m.why), a.text(m.worker), a(m.value);
}
template <class A>
void fields(A& a, state& m) {
  a.id(m.call), a.extra(m.attempt), a.choice(m.now, job_state::finished);
}
template <class A>
void fields(A& a, acknowledge& m) {
  a.template list<8>(m.calls, no_limit, [](A& each, std::uint64_t& call) { each(call); });
}
template <class A>
void fields(A& a, broadcast& m) {
  a.id(m.number), a.choice(m.kind, blob_kind::withdrawn), a(m.name), fields(a, m.hash), a(m.value);
}
template <class A>
void fields(A& a, broadcast_done& m) {
  a.id(m.number), fields(a, m.why);
}

template <class A>
void fields(A& a, run& m) {
  a.id(m.job), a.extra(m.fence), a(m.attempt), a(m.type), a(m.session), a.choice(m.effect_class, effect::pure),
      a(m.broadcasts), a(m.remaining), a(m.arguments);
}
template <class A>
void fields(A& a, stop& m) {
  a.id(m.job), a.extra(m.fence);
}
template <class A>
void fields(A& a, recall& m) {
  a.id(m.job), a.extra(m.fence);
}
template <class A>
void fields(A& a, returned& m) {
  a.id(m.job), a.extra(m.fence);
}
template <class A>
void fields(A& a, started& m) {
  a.id(m.job), a.extra(m.fence);
}
template <class A>
void fields(A& a, done& m) {
  a.id(m.job), a.extra(m.fence), fields(a, m.why), a(m.value);
}
template <class A>
void fields(A& a, slots& m) {
  a(m.usable), a(m.lost);
}
template <class A>
void fields(A& a, blob& m) {
  a.id(m.session), a(m.number), a.choice(m.kind, blob_kind::withdrawn), a(m.name), fields(a, m.hash), a(m.value);
}
template <class A>
void fields(A& a, blob_done& m) {
  a.id(m.session), a(m.number), fields(a, m.why);
}
template <class A>
void fields(A& a, end_session& m) {
  a.id(m.session);
}
template <class A>
void fields(A&, drain&) {}
template <class A>
void fields(A& a, known_calls& m) {
  a.template list<8>(m.calls, no_limit, [](A& each, std::uint64_t& call) { each(call); });
  a(m.last);
}

template <class A>
void fields(A& a, usage& m) {
  fields(a, m.now);
}
template <class A>
void fields(A& a, fetch& m) {
  a.id(m.session), a(m.name);
}
template <class A>
void fields(A& a, fetch_failed& m) {
  a.id(m.session), a(m.name), fields(a, m.why);
}

template <class A>
void fields(A& a, status_query& m) {
  a.id(m.request);
}
template <class A>
void fields(A& a, status_report& m) {
  cluster_status& n = m.now;
  a.id(m.request), a(n.epoch), a(n.up), a(n.clients), a(n.queued), a(n.assigned), a(n.running), a(n.waiting_retry),
      a(n.succeeded), a(n.failed), a(n.cancelled), a(n.placed_again), a(n.payload_bytes), a(n.payload_limit),
      a(n.result_bytes), a(n.broadcast_bytes), a(n.broadcast_limit);
  fields(a, n.memory);
  a.template list<112>(n.workers, no_limit, [](A& each, worker_status& w) {
    each(w.id), each.text(w.name), each.text(w.host), each(w.pid), each(w.slots), each(w.lost_slots), each(w.running),
        each(w.prefetched), each(w.done), each.text(w.state), each(w.silent);
    fields(each, w.memory);
  });
}

}  // namespace wire::detail
DTASK_END
