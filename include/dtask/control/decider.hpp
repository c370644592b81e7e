// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/control/coordinator_tables.hpp"
#include "dtask/control/switchboard.hpp"

DTASK_BEGIN
namespace control {

/// What each part of the coordinator that decides sees: the tables, which it changes through their functions, and the
/// switchboard, which it speaks through. Has no count of its own.
///
/// The parts know each other in one direction: `delivery`, `job_lifecycle`, `distribution`, `placement`, `reception`,
/// `membership`; each calls those before it.
class decider {
 public:
  decider(const decider&) = delete;
  decider& operator=(const decider&) = delete;

 protected:
  /// Both have to outlive it.
  decider(coordinator_tables& tables, switchboard& out) noexcept
      : options_(tables.options),
        peers_(tables.peers),
        jobs_(tables.jobs),
        types_(tables.types),
        ready_(tables.ready),
        workers_(tables.workers),
        sessions_(tables.sessions),
        out_(out) {}

  /// The connection of a worker or a session, or nullptr where it is detached.
  peer* worker_peer(std::uint32_t w) noexcept { return peers_.find(workers_[w].link); }
  peer* client_peer(std::uint32_t s) noexcept { return peers_.find(sessions_[s].link); }

  const coordinator_options& options_;
  peer_table& peers_;
  job_table& jobs_;
  type_table& types_;
  ready_queue& ready_;
  worker_table& workers_;
  session_table& sessions_;
  switchboard& out_;
};

}  // namespace control
DTASK_END
