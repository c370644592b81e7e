// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/decider.hpp"
#include "dtask/control/delivery.hpp"
#include "dtask/control/distribution.hpp"
#include "dtask/control/job_lifecycle.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// Decides about payloads that arrive in pieces: arguments and broadcasts of clients, results of workers.
class reception final : public decider {
 public:
  reception(coordinator_tables& tables, switchboard& out, delivery& deliver, job_lifecycle& lifecycle,
            distribution& distribute) noexcept
      : decider(tables, out), delivery_(deliver), lifecycle_(lifecycle), distribution_(distribute) {}

  /// A piece. Returns what is wrong with it, in words, or nothing.
  std::string chunk(peer& p, wire::chunk&& m, time_point now);
  /// No more of it comes.
  void aborted(peer& p, wire::abort_transfer&& m, time_point now);

 private:
  void advanced(peer& p, incoming* at, time_point now);

  delivery& delivery_;
  job_lifecycle& lifecycle_;
  distribution& distribution_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/reception.ipp"
#endif
