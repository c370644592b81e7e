// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/control/decider.hpp"
#include "dtask/control/delivery.hpp"
#include "dtask/control/distribution.hpp"
#include "dtask/control/job_lifecycle.hpp"

DTASK_BEGIN
namespace control {

/// Decides which worker gets which job: fair rounds between sessions, then the least loaded worker that registered the
/// job's name and schema. Jobs that have outlived two workers get one of their own; jobs that were handed out in
/// advance are called back when another worker is idle.
class placement final : public decider {
 public:
  placement(coordinator_tables& tables, switchboard& out, delivery& deliver, job_lifecycle& lifecycle,
            distribution& distribute) noexcept
      : decider(tables, out), delivery_(deliver), lifecycle_(lifecycle), distribution_(distribute) {}

  /// Hands out queued jobs for as long as a worker has room for one, and there is room for their results.
  void place(time_point now);
  /// When to place again though nothing has happened.
  time_point next_time() const noexcept { return look_again_; }
  /// That time has come.
  void tick(time_point now) noexcept {
    if (now >= look_again_) look_again_ = never;
  }
  /// The last worker of a type has gone, or one with the same name and another schema has come: those that wait are
  /// told, or wait for a stated time.
  void type_without_workers(std::uint16_t t, time_point now);

 private:
  /// Whose turn it is among types: the session that was served longest ago, of one session the lane that was.
  using turn = std::pair<std::uint64_t, std::uint64_t>;
  /// A job and the worker that it would get.
  struct match {
    std::uint32_t job = none;
    std::uint32_t worker = none;  ///< none: nobody takes jobs of the type now
    std::uint16_t level = 0xffff;
    turn at{};
    bool waits = false;  ///< for a free slot, since it may run only once
  };

  void place_alone(time_point now);
  turn turn_of(std::uint16_t t) const noexcept;
  match next() const noexcept;
  match head_of(std::uint16_t t) const noexcept;
  bool wanted_free(const worker_class& group, const turn& before) const noexcept;
  void dispatch(std::uint32_t j, std::uint32_t w, time_point now);
  std::uint32_t choose(std::uint16_t t, effect effect_class) const noexcept;
  std::uint32_t least_loaded(std::uint16_t t, std::uint16_t& level) const noexcept;
  std::uint32_t choose_for_alone(std::uint16_t t) const noexcept;
  void call_back(time_point now);
  void recall(std::uint32_t j);
  std::vector<std::uint32_t> waiting_jobs(std::uint16_t t) const;

  delivery& delivery_;
  job_lifecycle& lifecycle_;
  distribution& distribution_;
  time_point look_again_ = never;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/placement.ipp"
#endif
