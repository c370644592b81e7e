// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint32_t worker_record::position_of(std::uint16_t type) const noexcept {
  const auto at = std::lower_bound(positions.begin(), positions.end(), type,
                                   [](const auto& p, std::uint16_t t) { return p.first < t; });
  return at != positions.end() && at->first == type ? at->second : none;
}
DTASK_INLINE served_session* worker_record::serving(std::uint64_t session) noexcept {
  for (served_session& s : serves)
    if (s.session == session) return &s;
  return nullptr;
}
DTASK_INLINE std::uint32_t worker_class::least(std::uint16_t& level) const noexcept {
  for (std::size_t word = 0; word < map_.size(); ++word)
    if (map_[word] != 0) {
      level = static_cast<std::uint16_t>(word * 64 + static_cast<std::size_t>(std::countr_zero(map_[word])));
      return lists_[level].front();
    }
  level = 0xffff;
  return none;
}
DTASK_INLINE void worker_class::place(slab<worker_record>& workers, std::uint32_t w, std::uint16_t level) noexcept {
  worker_record& r = workers[w];
  if (r.level == level) return;
  if (r.level != 0xffff) {
    lists_[r.level].erase(workers, w);
    if (lists_[r.level].empty()) map_[r.level / 64] &= ~(std::uint64_t{1} << (r.level % 64));
  }
  r.level = level;
  if (level != 0xffff) {
    lists_[level].push_back(workers, w);
    map_[level / 64] |= std::uint64_t{1} << (level % 64);
  }
}
DTASK_INLINE worker_class* worker_classes::acquire(std::vector<std::uint16_t> types) {
  const auto* known = kinds_.find_if([&](const auto& kind) { return kind->types == types; });
  if (known == nullptr) {
    auto made = std::make_unique<worker_class>();
    made->types = std::move(types);
    kinds_.push_back(std::move(made));
    known = &kinds_.back();
  }
  ++(*known)->refs;
  return known->get();
}
DTASK_INLINE void worker_classes::forget(const worker_class& kind) {
  if (auto* const at = kinds_.find_if([&](const auto& k) { return k.get() == &kind; })) kinds_.erase(at);
}

DTASK_INLINE std::uint32_t worker_table::insert(const std::string& host, const std::string& name) {
  const std::uint32_t w = slab::insert();
  worker_record& r = (*this)[w];
  r.name = name;
  r.host = host;
  r.label = host + "/" + name + "#" + std::to_string(++number_);
  return w;
}
DTASK_INLINE void worker_table::enrol(std::uint32_t w, std::vector<std::pair<std::uint16_t, std::uint32_t>> positions) {
  worker_record& r = (*this)[w];
  r.positions = std::move(positions);
  std::vector<std::uint16_t> types;
  types.reserve(r.positions.size());
  for (const auto& [type, position] : r.positions) types.push_back(type);
  r.kind = classes_.acquire(std::move(types));
}
DTASK_INLINE void worker_table::offer(std::uint32_t w, std::uint16_t type) {
  const worker_record& r = (*this)[w];
  type_record& to = types_[type];
  to.worker_label = r.label;
  ++to.workers;
  if (r.kind->refs == 1) to.classes.push_back(r.kind);
}
DTASK_INLINE bool worker_table::stop_offering(std::uint32_t w) {
  worker_record& r = (*this)[w];
  if (std::exchange(r.draining, true)) return false;
  if (r.reserved_for != none && jobs_[r.reserved_for].phase == job_phase::alone) unreserve(r.reserved_for);
  for (const auto& [type, position] : r.positions) --types_[type].workers;
  reload(w);
  return true;
}
DTASK_INLINE void worker_table::retire(std::uint32_t w) {
  worker_record& r = (*this)[w];
  r.gone = true;
  reload(w);
  if (worker_classes::release(*r.kind)) {
    for (const auto& [type, position] : r.positions)
      types_[type].classes.erase_if([&r](const worker_class* c) { return c == r.kind; });
    classes_.forget(*r.kind);
  }
  r.kind = nullptr;
  for (const auto& [type, position] : r.positions) types_.release(type);
  r.positions.clear();
  r.serves.clear();
  r.ended = {};
  if (r.named_by == 0) slab::erase(w);
}
DTASK_INLINE void worker_table::drop_name(std::uint32_t w) {
  worker_record& r = (*this)[w];
  if (--r.named_by == 0 && r.gone) slab::erase(w);
}

DTASK_INLINE void worker_table::attach(std::uint32_t w, link_id link, time_point now) {
  worker_record& r = (*this)[w];
  r.link = link;
  r.lease.attach(now);
  r.owed_credit = 0;
}
DTASK_INLINE void worker_table::detach(std::uint32_t w, time_point now) {
  (*this)[w].link = 0;
  (*this)[w].lease.detach(now);
  reload(w);
}
DTASK_INLINE bool worker_table::advance(std::uint32_t w, time_point now) {
  if (!(*this)[w].lease.advance(now, options_)) return false;
  reload(w);
  return true;
}
DTASK_INLINE void worker_table::set_slots(std::uint32_t w, std::uint32_t usable, std::uint32_t lost) {
  worker_record& r = (*this)[w];
  r.usable = std::min(usable, r.slots);
  r.lost = lost;
  reload(w);
}

DTASK_INLINE void worker_table::take(std::uint32_t w, std::uint32_t j, time_point now) {
  worker_record& r = (*this)[w];
  if (r.jobs.empty()) r.pace.begin(now);
  jobs_.begin_attempt(j, w);
  r.jobs.push_back(jobs_, j);
  reload(w);
}
DTASK_INLINE void worker_table::start_attempt(std::uint32_t j) {
  jobs_.start_attempt(j);
  ++(*this)[jobs_[j].worker].running;
}
DTASK_INLINE void worker_table::end_attempt(std::uint32_t j) {
  const job& r = jobs_[j];
  if (!r.attempt_live) return;
  worker_record& w = (*this)[r.worker];
  w.jobs.erase(jobs_, j);
  if (r.started) --w.running;
  if (w.reserved_for == j) w.reserved_for = none;
  jobs_.end_attempt(j);
  reload(r.worker);
}
DTASK_INLINE void worker_table::reserve(std::uint32_t w, std::uint32_t j) {
  jobs_[j].worker = w;
  (*this)[w].reserved_for = j;
  reload(w);
}
DTASK_INLINE void worker_table::unreserve(std::uint32_t j) {
  job& r = jobs_[j];
  if (r.worker == none || (*this)[r.worker].reserved_for != j) return;
  const std::uint32_t w = std::exchange(r.worker, none);
  (*this)[w].reserved_for = none;
  reload(w);
}

DTASK_INLINE std::uint32_t worker_table::window(const worker_record& r) const noexcept {
  if (options_.prefetch_max == 0) return r.usable;
  const std::uint32_t ahead = std::clamp(r.pace.within(options_.prefetch_time), options_.prefetch_min * r.usable,
                                         std::max(options_.prefetch_min, options_.prefetch_max) * r.usable);
  return r.usable + ahead;
}

DTASK_INLINE void worker_table::reload(std::uint32_t w) {
  worker_record& r = (*this)[w];
  const std::uint32_t used = r.jobs.size();
  const bool takes = !r.gone && r.link != 0 && r.lease.state == lease_state::up && !r.draining &&
                     r.process_end.empty() && r.reserved_for == none && r.usable != 0;
  std::uint16_t level = 0xffff;
  if (takes && used < window(r))
    level = static_cast<std::uint16_t>(
        std::min<std::uint64_t>(std::uint64_t{used} * worker_class::busy / r.usable, worker_class::top));
  if (r.kind != nullptr) r.kind->place(*this, w, level);
  const std::uint32_t backlog = r.gone || r.link == 0 || used <= r.usable ? 0 : used - r.usable;
  backlog_ = backlog_ - r.backlog + backlog;
  r.backlog = backlog;
  const bool idle = takes && used < r.usable;
  idle_ = idle_ - (r.idle ? 1U : 0U) + (idle ? 1U : 0U);
  r.idle = idle;
}

DTASK_INLINE worker_status worker_table::describe(std::uint32_t w, time_point now) const {
  const worker_record& r = (*this)[w];
  worker_status out;
  out.id = id(w);
  out.name = r.name;
  out.host = r.host;
  out.pid = r.pid;
  out.slots = r.slots;
  out.lost_slots = r.lost;
  // A job whose large result is still arriving has left its slot, and the next one may have been reported.
  out.running = std::min(r.running, r.slots);
  out.prefetched = r.jobs.size() - r.running;
  out.done = r.done;
  out.state = r.draining ? std::string("draining") : std::string(to_string(r.lease.state));
  out.silent = now - r.lease.heard;
  out.memory = r.memory;
  return out;
}

DTASK_INLINE std::string worker_table::check() const {
  for (std::uint32_t j = 0; j < jobs_.bound(); ++j)
    if (jobs_.live(j) && jobs_[j].attempt_live && (!live(jobs_[j].worker) || (*this)[jobs_[j].worker].gone))
      return "a lease on a worker that is gone" + jobs_.name(j);
  std::uint64_t leases = 0, backlog = 0;
  std::uint32_t idle = 0;
  for (std::uint32_t w = 0; w < bound(); ++w) {
    if (!live(w)) continue;
    const worker_record& r = (*this)[w];
    if (r.gone && (!r.jobs.empty() || r.named_by == 0)) return "a worker that is gone is kept for nothing: " + r.label;
    std::uint32_t running = 0, once = 0;
    for (std::uint32_t j = r.jobs.front(); j != none; j = job_list::next(jobs_, j)) {
      if (jobs_[j].worker != w || !jobs_[j].attempt_live)
        return "a worker's list holds a job that is not its" + jobs_.name(j);
      running += jobs_[j].started;
      once += jobs_[j].effect_class == effect::at_most_once;
    }
    if (running != r.running) return "running jobs of " + r.label + " are miscounted";
    if (once > r.slots) return "jobs that may not run twice were prefetched to " + r.label;
    if (r.reserved_for != none && r.jobs.size() > 1 && jobs_[r.reserved_for].phase == job_phase::placed)
      return "a job that must be alone has company on " + r.label;
    leases += r.jobs.size();
    backlog += r.backlog;
    idle += r.idle ? 1U : 0U;
  }
  if (leases != jobs_.leases())
    return "leases: " + std::to_string(leases) + " in lists, " + std::to_string(jobs_.leases()) + " in records";
  if (backlog != backlog_ || idle != idle_) return "the sums over the workers are wrong";
  return {};
}

}  // namespace control
DTASK_END
