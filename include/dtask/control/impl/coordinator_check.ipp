// SPDX-License-Identifier: BSL-1.0
#pragma once
// Bodies of coordinator_state: what must hold between events. Included by coordinator_state.hpp only.
#include <optional>
#include <set>
#include <string>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::string coordinator_state::check() const {
  if (std::string bad = jobs_.check(); !bad.empty()) return bad;
  if (std::string bad = peers_.check(); !bad.empty()) return bad;
  if (std::string bad = workers_.check(); !bad.empty()) return bad;
  const auto at = [&](std::uint32_t j) { return jobs_.name(j); };
  for (std::uint32_t j = 0; j < jobs_.bound(); ++j) {
    if (!jobs_.live(j)) continue;
    const job& r = jobs_[j];
    if (r.rarely && r.rarely->answer) {
      const peer* const from = r.attempt_live ? peers_.find(workers_[r.worker].link) : nullptr;
      bool comes = false;
      if (from != nullptr)
        for (const incoming& i : from->in) comes = comes || i.from == r.rarely->answer;
      if (!comes) return "a job waits for a result that does not come" + at(j);
    }
  }
  for (std::uint32_t w = 0; w < workers_.bound(); ++w) {
    if (!workers_.live(w)) continue;
    const worker_record& r = workers_[w];
    std::set<std::uint64_t> sending;
    std::string stale;
    if (const peer* const p = r.link == 0 ? nullptr : peers_.find(r.link))
      p->out.each([&](std::uint64_t job, std::uint64_t session) {
        const std::uint32_t j = job == 0 ? none : jobs_.find(job);
        if (session != 0 ? sessions_.find(session) == none
                         : j == none || jobs_[j].worker != w || jobs_[j].phase != job_phase::placed ||
                               jobs_[j].started || !sending.insert(job).second)
          stale = "something is still being sent to " + r.label + " that it has no use for";
      });
    if (!stale.empty()) return stale;
  }
  // One that has stopped keeps no books of the links that it still has to see closed.
  return sessions_.check(stopped_ ? std::nullopt : std::optional(peers_.arriving_broadcasts()));
}

}  // namespace control
DTASK_END
