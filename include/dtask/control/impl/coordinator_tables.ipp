// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <optional>
#include <set>
#include <string>

DTASK_BEGIN
namespace control {

DTASK_INLINE std::string coordinator_tables::check(bool links_have_books) const {
  if (std::string bad = jobs.check(); !bad.empty()) return bad;
  if (std::string bad = peers.check(); !bad.empty()) return bad;
  if (std::string bad = workers.check(); !bad.empty()) return bad;
  const auto at = [&](std::uint32_t j) { return jobs.name(j); };
  for (std::uint32_t j = 0; j < jobs.bound(); ++j) {
    if (!jobs.live(j)) continue;
    const job& r = jobs[j];
    if (r.rarely && r.rarely->answer) {
      const peer* const from = r.attempt_live ? peers.find(workers[r.worker].link) : nullptr;
      bool comes = false;
      if (from != nullptr)
        for (const incoming& i : from->in) comes = comes || i.from == r.rarely->answer;
      if (!comes) return "a job waits for a result that does not come" + at(j);
    }
  }
  for (std::uint32_t w = 0; w < workers.bound(); ++w) {
    if (!workers.live(w)) continue;
    const worker_record& r = workers[w];
    std::set<std::uint64_t> sending;
    std::string stale;
    if (const peer* const p = r.link == 0 ? nullptr : peers.find(r.link))
      p->out.each([&](std::uint64_t job, std::uint64_t session) {
        const std::uint32_t j = job == 0 ? none : jobs.find(job);
        if (session != 0 ? sessions.find(session) == none
                         : j == none || jobs[j].worker != w || jobs[j].phase != job_phase::placed || jobs[j].started ||
                               !sending.insert(job).second)
          stale = "something is still being sent to " + r.label + " that it has no use for";
      });
    if (!stale.empty()) return stale;
  }
  return sessions.check(links_have_books ? std::optional(peers.arriving_broadcasts()) : std::nullopt);
}

}  // namespace control
DTASK_END
