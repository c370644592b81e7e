// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/control/decider.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// Decides what a client hears of its jobs: their states, and each result until the client has acknowledged it.
class delivery final : public decider {
 public:
  delivery(coordinator_tables& tables, switchboard& out) noexcept : decider(tables, out) {}

  /// The finished job's value or failure, to a client that is connected; to one that is not when its session is
  /// resumed.
  void send_result(std::uint32_t j);
  /// A large result begins to arrive: a client that is connected is sent it as it comes.
  void forward(std::uint32_t j);
  /// Bytes of the result of job `id` went on to its client: the worker that sent them may send as many more.
  void passed_on(std::uint64_t id, std::size_t bytes);
  /// A client that watches the job learns where it is.
  void report(std::uint32_t j, wire::job_state state);
  /// A large result that is on its way is not wanted, or does not come: the client, if it was sent some, drops it.
  /// Where its worker goes on sending, what comes is thrown away, and the end of it is the end of the attempt.
  void drop_answer(std::uint32_t j);
  /// The same where this result of an attempt does not come; another attempt's is left alone. Whether it was wanted.
  bool drop_arriving(const incoming& what);
  /// A finished job's value is not needed any more: what of it has not been sent was never paid back to its worker.
  void drop_value(std::uint32_t j);
  /// The client has the result, or is gone.
  void release(std::uint32_t j);
  /// The record goes once the job is finished, its result accepted, and no attempt holds a worker's slot.
  void reclaim(std::uint32_t j);

  /// Where the job is or was last, for people.
  std::string place_of(std::uint32_t j) const;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/delivery.ipp"
#endif
