// SPDX-License-Identifier: BSL-1.0
#pragma once

DTASK_BEGIN
namespace control {

DTASK_INLINE std::uint32_t job_table::insert() {
  const std::uint32_t j = slab::insert();
  ++in_[static_cast<std::size_t>(job_phase::accepted)];
  return j;
}
DTASK_INLINE void job_table::erase(std::uint32_t j) {
  --in_[static_cast<std::size_t>((*this)[j].phase)];
  slab::erase(j);
}
DTASK_INLINE void job_table::enter(std::uint32_t j, job_phase phase) noexcept {
  --in_[static_cast<std::size_t>((*this)[j].phase)];
  ++in_[static_cast<std::size_t>(phase)];
  (*this)[j].phase = phase;
}
DTASK_INLINE void job_table::queue_alone(std::uint32_t j) noexcept {
  enter(j, job_phase::alone);
  alone_.push_back(*this, j);
}
DTASK_INLINE void job_table::leave_alone(std::uint32_t j) noexcept {
  alone_.erase(*this, j);
  enter(j, job_phase::accepted);
}
DTASK_INLINE void job_table::begin_attempt(std::uint32_t j, std::uint32_t worker) noexcept {
  job& r = (*this)[j];
  enter(j, job_phase::placed);
  r.worker = worker;
  ++r.fence;
  r.attempt_live = true;
  r.started = r.stop_sent = false;
  ++leases_;
}
DTASK_INLINE void job_table::start_attempt(std::uint32_t j) noexcept {
  job& r = (*this)[j];
  r.started = true;
  ++r.attempts;
  end_recall(j);
}
DTASK_INLINE void job_table::end_attempt(std::uint32_t j) noexcept {
  job& r = (*this)[j];
  end_recall(j);
  r.attempt_live = r.started = r.stop_sent = false;
  --leases_;
}
DTASK_INLINE void job_table::recall(std::uint32_t j) noexcept {
  (*this)[j].recalled = true;
  ++recalls_;
}
DTASK_INLINE void job_table::end_recall(std::uint32_t j) noexcept {
  if (std::exchange((*this)[j].recalled, false)) --recalls_;
}
DTASK_INLINE void job_table::place_again(std::uint32_t j) noexcept {
  (*this)[j].worker = none;
  ++placed_again_;
}
DTASK_INLINE void job_table::fail(std::uint32_t j, wire::failure&& why) {
  job& r = (*this)[j];
  (why.code == errc::cancelled ? cancelled_ : failed_) += 1;
  r.rare().why = std::move(why);
  r.answered = false;
}
DTASK_INLINE void job_table::succeed(std::uint32_t j) noexcept {
  (*this)[j].answered = true;
  ++succeeded_;
}
DTASK_INLINE void job_table::settle(std::uint32_t j) noexcept {
  enter(j, job_phase::finished);
  timers_.disarm(j);
}
DTASK_INLINE std::string job_table::name(std::uint32_t j) const {
  return " (job " + std::to_string(id(j)) + ", phase " + std::to_string(static_cast<int>((*this)[j].phase)) + ")";
}

DTASK_INLINE std::string job_table::check() const {
  std::array<std::uint64_t, 7> in{};
  std::uint64_t leases = 0;
  std::uint32_t recalled = 0;
  for (std::uint32_t j = 0; j < bound(); ++j) {
    if (!live(j)) continue;
    const job& r = (*this)[j];
    ++in[static_cast<std::size_t>(r.phase)];
    leases += r.attempt_live;
    recalled += r.recalled;
    if (r.phase == job_phase::accepted) return "a job is nowhere" + name(j);
    if (r.phase != job_phase::finished) {
      if (r.session == none) return "an open job has no session" + name(j);
      if (!r.attempt_live && r.phase == job_phase::placed) return "a placed job has no worker" + name(j);
      if (r.attempt_live && r.phase != job_phase::placed) return "a job waits while a worker holds it" + name(j);
      if (r.deadline != never && !r.timer.armed()) return "an open job with a deadline has no timer" + name(j);
    } else {
      if (r.timer.armed()) return "a finished job has a timer" + name(j);
      if (r.accepted && !r.attempt_live) return "a record is kept for nothing" + name(j);
      if (!r.answered && (!r.rarely || r.rarely->why.code == errc::ok))
        return "a finished job has neither a value nor a cause" + name(j);
    }
  }
  for (std::size_t phase = 0; phase < in.size(); ++phase)
    if (in[phase] != in_[phase])
      return "jobs in phase " + std::to_string(phase) + ": counted " + std::to_string(in_[phase]) + ", found " +
             std::to_string(in[phase]);
  if (count(job_phase::alone) != alone_.size()) return "the list of jobs that must run alone is wrong";
  if (leases != leases_) return "leases: counted " + std::to_string(leases_) + ", found " + std::to_string(leases);
  if (recalled != recalls_)
    return "recalls: counted " + std::to_string(recalls_) + ", found " + std::to_string(recalled);
  return {};
}

}  // namespace control
DTASK_END
