// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/decider.hpp"
#include "dtask/control/delivery.hpp"
#include "dtask/control/distribution.hpp"
#include "dtask/control/job_lifecycle.hpp"
#include "dtask/control/placement.hpp"
#include "dtask/control/random_sequence.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// Decides who belongs to the cluster: who is let in, who comes back, who is silent for too long, and what the end of a
/// worker or of a client session means for their jobs.
class membership final : public decider {
 public:
  /// `random` makes the keys of sessions; it has to outlive this, as all references have to.
  membership(coordinator_tables& tables, switchboard& out, delivery& deliver, job_lifecycle& lifecycle,
             distribution& distribute, placement& place, random_sequence& random, std::uint64_t epoch,
             time_point now) noexcept
      : decider(tables, out),
        delivery_(deliver),
        lifecycle_(lifecycle),
        distribution_(distribute),
        placement_(place),
        random_(random),
        epoch_(epoch),
        next_scan_(now + options_.heartbeat / 4) {}

  // What a peer says of itself.

  void heard(peer& p, time_point now);
  void hello(peer& p, wire::hello&& m, bool draining, time_point now);
  void goodbye(peer& p, const wire::goodbye& m, time_point now);
  /// A worker's answer to the ping that followed the ends of sessions: on a link in order it says that they have come.
  void pong(peer& p, const wire::pong& m);
  void slots(peer& p, const wire::slots& m);
  void usage(peer& p, const wire::usage& m) { workers_[p.index].memory = m.now; }
  void drain(peer& p, time_point now);

  // What is found out about it.

  /// It said what it may not say: told so, its link ends, and it is lost.
  void violation(peer& p, std::string_view what);
  /// The link has ended.
  void closed(link_id link, const error& why, time_point now);
  /// See `coordinator_state::process_ended`.
  void process_ended(std::uint32_t pid, std::string how, time_point now);

  /// Silence is looked for four times per heartbeat, over all links: what a message costs stays the same whatever the
  /// number of peers.
  void tick(time_point now) {
    if (now >= next_scan_) scan(now);
  }
  time_point next_time() const noexcept { return next_scan_; }

 private:
  void send_welcome(peer& p, const wire::hello& m, std::uint64_t id, std::uint64_t key, bool resumed,
                    std::uint64_t credit, std::uint64_t window);
  void welcome_client(peer& p, wire::hello&& m, time_point now);
  void welcome_worker(peer& p, wire::hello&& m, time_point now);
  void scan(time_point now);

  void resume(std::uint32_t s);
  void detach_session(std::uint32_t s, peer& p, time_point now);
  void end_session(std::uint32_t s, std::string_view why);
  void reattach(std::uint32_t w, const wire::hello& m, time_point now);
  void stop_taking(std::uint32_t w, time_point now);
  void lose(std::uint32_t w, const std::string& how, bool died, time_point now);

  delivery& delivery_;
  job_lifecycle& lifecycle_;
  distribution& distribution_;
  placement& placement_;
  random_sequence& random_;
  const std::uint64_t epoch_;
  time_point next_scan_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/membership.ipp"
#include "dtask/control/impl/membership_ends.ipp"
#endif
