// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/control/job_table.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/peer_table.hpp"
#include "dtask/control/ready_queue.hpp"
#include "dtask/control/session_table.hpp"
#include "dtask/control/type_table.hpp"
#include "dtask/control/worker_table.hpp"

DTASK_BEGIN
namespace control {

/// Everything that a coordinator knows: records and every count about them, and nothing that decides.
struct coordinator_tables {
  /// Ids of a coordinator of another `epoch`, which workers may still run jobs of, mean nothing here.
  coordinator_tables(const coordinator_options& with, std::uint64_t epoch, time_point now)
      : options(with),
        jobs(static_cast<std::uint32_t>(epoch >> 32), now),
        workers(options, jobs, types, static_cast<std::uint32_t>(epoch >> 24)),
        sessions(options, jobs, ready, static_cast<std::uint32_t>(epoch >> 16)) {}
  coordinator_tables(const coordinator_tables&) = delete;
  coordinator_tables& operator=(const coordinator_tables&) = delete;

  /// What must hold between the tables and in each: the first violation in words, or an empty string. Between events.
  /// O(everything). `links_have_books`: a coordinator that has stopped keeps none of links that it has yet to see
  /// closed.
  std::string check(bool links_have_books) const;

  const coordinator_options options;
  peer_table peers;
  job_table jobs;
  type_table types;
  ready_queue ready{jobs, types};
  worker_table workers;
  session_table sessions;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/coordinator_tables.ipp"
#endif
