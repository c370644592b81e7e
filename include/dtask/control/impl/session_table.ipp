// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint32_t call_index::at(std::uint32_t position) const noexcept {
  const std::uint32_t p = position / page;
  return p < pages_.size() && pages_[p] ? pages_[p][position % page] : none;
}
DTASK_INLINE void call_index::set(std::uint32_t position, std::uint32_t job) {
  const std::uint32_t p = position / page;
  while (p >= pages_.size()) pages_.push_back(nullptr);
  if (!pages_[p]) {
    pages_[p] = std::make_unique<std::uint32_t[]>(page);
    std::fill_n(pages_[p].get(), page, none);
  }
  pages_[p][position % page] = job;
}
DTASK_INLINE std::vector<std::uint32_t> call_index::jobs() const {
  std::vector<std::uint32_t> out;
  for (const auto& p : pages_)
    for (std::uint32_t i = 0; p && i < page; ++i)
      if (p[i] != none) out.push_back(p[i]);
  return out;
}

DTASK_INLINE std::uint32_t session_table::insert(std::string label, std::vector<std::uint16_t> types) {
  const std::uint32_t s = slab::insert();
  session_record& r = (*this)[s];
  r.label = std::move(label);
  r.turn = turn_;
  r.lanes = std::make_unique<lane[]>(types.size());
  for (std::size_t i = 0; i < types.size(); ++i) {
    r.lanes[i].session = s;
    r.lanes[i].type = types[i];
  }
  r.types = std::move(types);
  return s;
}
DTASK_INLINE void session_table::attach(std::uint32_t s, link_id link) noexcept {
  (*this)[s].link = link;
  (*this)[s].owed_credit = 0;
  (*this)[s].turned_away.clear();  // the client sends them again
}
DTASK_INLINE void session_table::detach(std::uint32_t s, time_point now) noexcept {
  (*this)[s].link = 0;
  (*this)[s].detached_at = now;
}
DTASK_INLINE std::vector<std::uint32_t> session_table::close(std::uint32_t s) {
  session_record& r = (*this)[s];
  r.link = 0;
  held_bytes_ -= std::exchange(r.held_bytes, 0);
  result_bytes_ -= std::exchange(r.results, 0);
  broadcast_bytes_ -= r.broadcasts.bytes();
  r.jobs = 0;
  return std::exchange(r.by_call, {}).jobs();
}

DTASK_INLINE std::uint32_t session_table::job_of(std::uint32_t s, std::uint64_t call) const noexcept {
  const std::uint32_t j = (*this)[s].by_call.at(static_cast<std::uint32_t>(call));
  return j != none && jobs_[j].call == call ? j : none;
}
DTASK_INLINE void session_table::add(std::uint32_t s, std::uint32_t j) {
  session_record& r = (*this)[s];
  job& made = jobs_[j];
  made.session = s;
  r.by_call.set(static_cast<std::uint32_t>(made.call), j);
  ++r.jobs;
  r.held_bytes += made.cost;
  held_bytes_ += made.cost;
}
DTASK_INLINE void session_table::remove(std::uint32_t j) {
  job& gone = jobs_[j];
  const std::uint32_t s = gone.session;
  session_record& r = (*this)[s];
  r.by_call.set(static_cast<std::uint32_t>(gone.call), none);
  --r.jobs;
  r.held_bytes -= gone.cost;
  r.owed_credit += gone.cost;
  held_bytes_ -= gone.cost;
  gone.session = none;
  if (gone.phase != job_phase::finished || !gone.answered) return;
  const std::uint64_t size = gone.held.size();
  r.results -= size;
  result_bytes_ -= size;
  limit_results(s);
}
DTASK_INLINE void session_table::hold_result(std::uint32_t j) {
  const std::uint32_t s = jobs_[j].session;
  const std::uint64_t size = jobs_[j].held.size();
  (*this)[s].results += size;
  result_bytes_ += size;
  limit_results(s);
}
/// A client that does not take its results gets no more of them: its queued jobs wait.
DTASK_INLINE void session_table::limit_results(std::uint32_t s) {
  session_record& r = (*this)[s];
  const bool suspend = r.results >= options_.session_bytes;
  if (std::exchange(r.suspended, suspend) == suspend) return;
  for (std::size_t i = 0; i < r.types.size(); ++i) {
    if (suspend)
      ready_.suspend(r.lanes[i]);
    else
      ready_.resume(r.lanes[i]);
  }
}

DTASK_INLINE void session_table::block(std::uint32_t j) noexcept {
  jobs_.enter(j, job_phase::blocked);
  (*this)[jobs_[j].session].blocked.push_back(jobs_, j);
}
DTASK_INLINE void session_table::unblock(std::uint32_t j) noexcept {
  (*this)[jobs_[j].session].blocked.erase(jobs_, j);
  jobs_.enter(j, job_phase::accepted);
}
DTASK_INLINE void session_table::queue(std::uint32_t j, bool front) {
  const job& r = jobs_[j];
  jobs_.enter(j, job_phase::queued);
  lane& into = (*this)[r.session].lanes[r.position];
  if (front)
    ready_.push_front(into, j);
  else
    ready_.push_back(into, j);
}
DTASK_INLINE void session_table::leave_queue(std::uint32_t j) {
  const job& r = jobs_[j];
  ready_.erase((*this)[r.session].lanes[r.position], j);
  jobs_.enter(j, job_phase::accepted);
}
DTASK_INLINE void session_table::hold_broadcast(std::uint32_t s, cached_value&& value) {
  broadcast_cache& cache = (*this)[s].broadcasts;
  const std::uint64_t number = value.number;
  broadcast_bytes_ -= cache.insert(std::move(value));
  cache.settle(number);
}

DTASK_INLINE std::string session_table::check(std::optional<std::uint64_t> arriving) const {
  std::uint64_t found = 0;
  for (std::uint32_t j = 0; j < jobs_.bound(); ++j) {
    if (!jobs_.live(j) || jobs_[j].session == none) continue;
    if (!live(jobs_[j].session)) return "a job of a session that is gone" + jobs_.name(j);
    found += jobs_[j].cost;
    if (job_of(jobs_[j].session, jobs_[j].call) != j) return "a session does not find its job" + jobs_.name(j);
  }
  if (found != held_bytes_)
    return "held bytes: counted " + std::to_string(held_bytes_) + ", found " + std::to_string(found);
  if (jobs_.count(job_phase::queued) != ready_.size()) return "the sum of queued jobs is wrong";
  std::uint64_t values = 0, results = 0, blocked = 0;
  for (std::uint32_t s = 0; s < bound(); ++s) {
    if (!live(s)) continue;
    const session_record& r = (*this)[s];
    values += r.broadcasts.bytes();
    blocked += r.blocked.size();
    std::uint64_t untaken = 0, cost = 0;
    const std::vector<std::uint32_t> jobs = r.by_call.jobs();
    for (const std::uint32_t j : jobs) {
      cost += jobs_[j].cost;
      if (jobs_[j].phase == job_phase::finished && jobs_[j].answered) untaken += jobs_[j].held.size();
    }
    if (jobs.size() != r.jobs || cost != r.held_bytes) return "the jobs of " + r.label + " are miscounted";
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
  if (blocked != jobs_.count(job_phase::blocked)) return "the sum of blocked jobs is wrong";
  if (arriving && values + *arriving != broadcast_bytes_)
    return "broadcast bytes: counted " + std::to_string(broadcast_bytes_) + ", found " + std::to_string(values) +
           " held and " + std::to_string(*arriving) + " on their way";
  return {};
}

}  // namespace control
DTASK_END
