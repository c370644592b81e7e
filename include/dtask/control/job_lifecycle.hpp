// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/decider.hpp"
#include "dtask/control/delivery.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// Decides about one job at a time, from its submission to its one end: whether it is accepted, where it waits, what an
/// attempt's report or loss leads to. Which worker gets it is `placement`'s.
class job_lifecycle final : public decider {
 public:
  job_lifecycle(coordinator_tables& tables, switchboard& out, delivery& deliver) noexcept
      : decider(tables, out), delivery_(deliver) {}

  // What a client says. Returns what it may not say, in words, or nothing.

  /// Accepted, or answered (`too_large`, `overloaded`) without a record. While the coordinator drains, the call is kept
  /// unanswered until its end.
  std::string_view submitted(peer& p, wire::submit&& m, bool draining, time_point now);
  void cancelled(peer& p, const wire::cancel& m);
  void acknowledged(peer& p, const wire::acknowledge& m);

  // What a worker says of an attempt. With an old fence it changes nothing.

  void started(peer& p, const wire::started& m);
  void done(peer& p, wire::done&& m, time_point now);
  void returned(peer& p, const wire::returned& m, time_point now);

  // What others decide or find out.

  /// Puts a job that no worker holds where it waits for one.
  void enqueue(std::uint32_t j, bool front, time_point now);
  /// Takes a job out of whatever it waits in.
  void leave(std::uint32_t j);
  /// Its timer: deadline, end of a pause, or no worker for too long.
  void expired(std::uint32_t j, time_point now);
  /// The one end of a job without a value.
  void finish(std::uint32_t j, wire::failure why);
  /// The one end of a job whose value has just been put into `held`, its arguments being gone.
  void succeed(std::uint32_t j);
  /// The job's type has no worker, and `rival` has the same name, another schema, and workers.
  void mismatch(std::uint32_t j, std::uint32_t rival);
  /// The attempt was reported as started.
  void count_started(std::uint32_t j);
  /// The end of an attempt without a value, or of one that nobody waits for.
  void answered(std::uint32_t j, wire::failure&& why, time_point now);
  /// The worker does not have the job and never started it: placing it again is no second attempt.
  void given_back(std::uint32_t j, time_point now);
  /// The attempt's worker is gone, `how` in words; `died`: jobs that were running are suspected of it.
  void lost_attempt(std::uint32_t j, const std::string& label, const std::string& how, bool died, time_point now);

  /// The coordinator ends: calls of this client that no worker has begun are given back (`closed`), so that it sends
  /// them to the next coordinator, whatever their effect class.
  void give_back(peer& client);

 private:
  void accept(peer& p, wire::submit&& m, bool draining, time_point now);
  void cancel(std::uint32_t j);
  void settled(std::uint32_t j);
  void retry(std::uint32_t j, wire::failure why, time_point now);
  void forget_arguments(std::uint32_t j);
  void drop_run(peer& p, std::uint32_t j);
  std::uint32_t attempt(const peer& p, std::uint64_t job, std::uint32_t fence) const noexcept;
  std::string nobody_connected() const;

  delivery& delivery_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/job_lifecycle.ipp"
#include "dtask/control/impl/job_lifecycle_attempts.ipp"
#endif
