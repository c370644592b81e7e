// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <utility>

DTASK_BEGIN
namespace control {

DTASK_INLINE void delivery::send_result(std::uint32_t j) {
  job& r = jobs_[j];
  peer* const c = client_peer(r.session);
  if (c == nullptr) {  // sent when the session is resumed
    if (r.rarely) r.rarely->answer.reset();
    return;
  }
  wire::result end;
  end.call = r.call;
  end.attempts = r.attempts;
  if (r.worker != none) end.worker = workers_[r.worker].label;
  if (!r.answered) {
    end.why = r.rarely->why;
    out_.send(*c, std::move(end));
    return;
  }
  if (const error bad = wire::check_payload(r.held.blobs(), r.held.size(), c->out.limits())) {
    end.why = {.code = bad.code(),
               .message = "the result, for its client: " + bad.cause(),
               .place = place_of(j),
               .remedy = bad.remedy()};
    out_.send(*c, std::move(end));
    return;
  }
  if (r.rarely && r.rarely->answer) {  // it has been on its way since its first chunk
    r.rarely->answer.reset();
    peers_.touch(*c);
    return;
  }
  if (!r.held.is_large(send_queue::small)) {
    end.value.whole = r.held.get();
    out_.send(*c, std::move(end));
    return;
  }
  c->out.push(std::move(end), r.held.as_stream(), jobs_.id(j));
  peers_.touch(*c);
}

DTASK_INLINE void delivery::forward(std::uint32_t j) {
  const job& r = jobs_[j];
  peer* const c = r.session == none ? nullptr : client_peer(r.session);
  if (c == nullptr) return;
  wire::result head;
  head.call = r.call;
  head.attempts = r.attempts;
  head.worker = workers_[r.worker].label;
  c->out.push(std::move(head), r.rarely->answer, jobs_.id(j));
  peers_.touch(*c);
}

DTASK_INLINE void delivery::passed_on(std::uint64_t id, std::size_t bytes) {
  const std::uint32_t j = jobs_.find(id);
  if (j == none || jobs_[j].worker == none) return;
  const std::shared_ptr<stream>* from = jobs_[j].phase == job_phase::finished ? jobs_[j].held.arriving()
                                        : jobs_[j].rarely                     ? &jobs_[j].rarely->answer
                                                                              : nullptr;
  if (from == nullptr || !*from) return;
  const std::uint64_t back = std::min<std::uint64_t>(bytes, (*from)->owed);
  (*from)->owed -= back;
  workers_.owe(jobs_[j].worker, back);
  if (peer* const w = worker_peer(jobs_[j].worker)) peers_.touch(*w);
}

DTASK_INLINE void delivery::drop_answer(std::uint32_t j) {
  job& r = jobs_[j];
  if (!r.rarely || !r.rarely->answer) return;
  if (r.session != none)
    if (peer* const c = client_peer(r.session))
      c->out.remove(jobs_.id(j),
                    {.code = errc::worker_lost, .message = "the result was cut short", .place = "coordinator"},
                    [&](wire::message&& m) { out_.send(*c, std::move(m)); });
  if (r.worker != none) {
    workers_.owe(r.worker, std::exchange(r.rarely->answer->owed, 0));
    if (peer* const w = worker_peer(r.worker)) peers_.touch(*w);
  }
  r.rarely->answer.reset();
}

DTASK_INLINE bool delivery::drop_arriving(const incoming& what) {
  const std::uint32_t j = what.what == payload_of::result ? jobs_.find(what.job) : none;
  if (j == none || !jobs_[j].rarely || jobs_[j].rarely->answer != what.from) return false;
  drop_answer(j);
  return true;
}

DTASK_INLINE void delivery::drop_value(std::uint32_t j) {
  job& r = jobs_[j];
  const std::shared_ptr<stream>* const from = r.held.arriving();
  if (r.answered && r.worker != none && from != nullptr && (*from)->owed != 0) {
    workers_.owe(r.worker, std::exchange((*from)->owed, 0));
    if (peer* const w = worker_peer(r.worker)) peers_.touch(*w);
  }
  r.held.clear();
}

DTASK_INLINE void delivery::release(std::uint32_t j) {
  job& r = jobs_[j];
  if (r.session != none) {
    const link_id link = sessions_[r.session].link;
    sessions_.remove(j);
    if (peer* const c = peers_.find(link)) peers_.touch(*c);
  }
  if (r.phase != job_phase::finished) return;
  r.accepted = true;
  drop_value(j);
  reclaim(j);
}

DTASK_INLINE void delivery::reclaim(std::uint32_t j) {
  job& r = jobs_[j];
  if (r.phase != job_phase::finished || !r.accepted || r.attempt_live) return;
  if (r.worker != none) workers_.drop_name(r.worker);
  jobs_.erase(j);
}

DTASK_INLINE void delivery::report(std::uint32_t j, wire::job_state state) {
  const job& r = jobs_[j];
  if (!r.watch || r.session == none) return;
  if (peer* const c = client_peer(r.session))
    out_.send(*c, wire::state{r.call, state, r.attempts + (state == wire::job_state::running ? 0U : 1U)});
}

DTASK_INLINE std::string delivery::place_of(std::uint32_t j) const {
  const job& r = jobs_[j];
  if (r.worker == none) return "coordinator";
  return workers_[r.worker].label + ", attempt " + std::to_string(std::max(r.attempts, 1U));
}

}  // namespace control
DTASK_END
