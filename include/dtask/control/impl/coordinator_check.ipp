// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: what must hold between events. Included by coordinator_state.hpp only.
#include <set>
#include <string>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::string coordinator_state::check() const {
  if (std::string bad = jobs_.check(); !bad.empty()) return bad;
  if (std::string bad = workers_.check(); !bad.empty()) return bad;
  const auto at = [&](std::uint32_t j) { return jobs_.name(j); };
  const auto at_link = [&](link_id link) {
    const auto found = peers_.find(link);
    return found == peers_.end() ? nullptr : found->second.get();
  };
  std::uint64_t held = 0;
  for (std::uint32_t j = 0; j < jobs_.bound(); ++j) {
    if (!jobs_.live(j)) continue;
    const job& r = jobs_[j];
    if (r.session != none) {
      if (!sessions_.live(r.session)) return "a job of a session that is gone" + at(j);
      held += r.cost;
      if (job_of(sessions_[r.session], r.call) != j) return "a session does not find its job" + at(j);
    }
    if (r.rarely && r.rarely->answer) {
      const peer* const from = r.attempt_live ? at_link(workers_[r.worker].link) : nullptr;
      bool comes = false;
      if (from != nullptr)
        for (const incoming& i : from->in) comes = comes || i.from == r.rarely->answer;
      if (!comes) return "a job waits for a result that does not come" + at(j);
    }
  }
  if (jobs_.count(job_phase::queued) != ready_.size()) return "the sum of queued jobs is wrong";
  if (held != held_bytes_)
    return "held bytes: counted " + std::to_string(held_bytes_) + ", found " + std::to_string(held);
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    if (!workers_.live(w)) continue;
    const worker_record& r = workers_[w];
    std::set<std::uint64_t> sending;
    std::string stale;
    if (const peer* const p = r.link == 0 ? nullptr : at_link(r.link))
      p->out.each([&](std::uint64_t job, std::uint64_t session) {
        const std::uint32_t j = job == 0 ? none : jobs_.find(job);
        if (session != 0 ? sessions_.find(session) == none
                         : j == none || jobs_[j].worker != w || jobs_[j].phase != job_phase::placed ||
                               jobs_[j].started || !sending.insert(job).second)
          stale = "something is still being sent to " + r.label + " that it has no use for";
      });
    if (!stale.empty()) return stale;
  }
  std::uint64_t values = 0, results = 0;
  for (std::uint32_t s = 0; s < sessions_.bound(); ++s) {
    if (!sessions_.live(s)) continue;
    const session_record& r = sessions_[s];
    values += r.broadcasts.bytes();
    std::uint64_t untaken = 0;
    for (const std::uint32_t j : r.by_call.jobs())
      if (jobs_[j].phase == job_phase::finished && jobs_[j].answered) untaken += jobs_[j].held.size();
    if (untaken != r.results)
      return "results of " + r.label + ": counted " + std::to_string(r.results) + ", found " + std::to_string(untaken);
    for (std::size_t i = 0; i < r.types.size(); ++i) {
      const lane& each = r.lanes[i];
      if (each.suspended != (untaken >= options_.session_bytes))
        return "a lane of " + r.label + " waits for nothing, or does not wait";
      if ((each.next != nullptr) != (!each.suspended && !each.jobs.empty()))
        return "a lane of " + r.label + " has a turn without jobs, or none with jobs";
    }
    results += untaken;
  }
  if (results != result_bytes_) return "the sum of the results is wrong";
  std::uint64_t arriving = 0;
  for (const auto& [link, p] : peers_)
    for (const incoming& i : p->in)
      if (i.what == payload_of::broadcast) arriving += i.from->held.size();
  // One that has stopped keeps no books of the links that it still has to see closed.
  if (!stopped_ && values + arriving != broadcast_bytes_)
    return "broadcast bytes: counted " + std::to_string(broadcast_bytes_) + ", found " + std::to_string(values) +
           " held and " + std::to_string(arriving) + " on their way";
  return {};
}

}  // namespace control
DTASK_END
