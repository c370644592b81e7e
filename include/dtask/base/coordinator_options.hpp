// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstdint>
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/limits.hpp"

DTASK_BEGIN

/// What a coordinator is told at its start.
struct coordinator_options {
  /// Addresses that other machines reach are allowed. There is no authentication: whoever reaches the port can run
  /// jobs.
  bool beyond_loopback = false;
  /// How long its thread looks for events before it sleeps, where nobody else wants its core: shortens round trips,
  /// costs a core; at most 50 us is sensible.
  duration polling = duration::zero();

  duration heartbeat = std::chrono::seconds(1);      ///< how often a peer must be heard from
  duration suspect_after = std::chrono::seconds(3);  ///< silence after which a worker gets no new jobs
  /// Silence after which a worker is lost and its jobs are placed again.
  duration lost_after = std::chrono::seconds(5);
  /// A worker whose link broke may come back this long and keep its jobs.
  duration reattach_within = std::chrono::seconds(1);
  /// A client whose link broke may come back this long; then its jobs are cancelled.
  duration session_grace = std::chrono::seconds(10);
  /// A connection that has said nothing valid for this long is closed.
  duration hello_within = std::chrono::seconds(5);
  duration drain_within = std::chrono::seconds(30);  ///< an orderly end waits this long for jobs
  /// An orderly end sends the workers home. Otherwise they and the clients wait for another coordinator at the address,
  /// as they do after its death.
  bool send_home = false;
  /// Work that a worker should hold in advance, measured by its own speed.
  duration prefetch_time = std::chrono::milliseconds(5);
  std::uint32_t prefetch_min = 1;    ///< jobs per slot held in advance, at least
  std::uint32_t prefetch_max = 256;  ///< and at most; 0: no prefetch
  /// A job that was running when this many workers died runs alone on a worker from then on,
  std::uint32_t alone_after_deaths = 2;
  std::uint32_t quarantine_after_deaths = 3;  ///< and is not run again after this many.
  /// Arguments and records of all jobs; above it new jobs are answered `overloaded`. As many bytes of results may wait
  /// for their clients; above that no job is placed.
  std::uint64_t queue_bytes = std::uint64_t{1} << 30;
  /// The same for one client: its credit, and the bytes of results that it has not taken, above which its queued jobs
  /// wait.
  std::uint64_t session_bytes = std::uint64_t{512} << 20;
  /// Result bytes that one worker may send ahead of their clients.
  std::uint64_t result_bytes = std::uint64_t{64} << 20;
  std::uint64_t broadcast_bytes = std::uint64_t{1} << 30;  ///< broadcast values of all sessions
  std::uint32_t max_jobs = 4u << 20;   ///< jobs held for all clients; above it new ones are answered `overloaded`
  std::uint32_t max_links = 4096;      ///< connections that have not said hello count too
  std::uint32_t max_strangers = 1024;  ///< connections that have not said hello
  std::uint64_t cookie = 0;            ///< workers and clients must show it (spawn://); 0: not asked for
  dtask::limits limits = {};           ///< what it accepts from its peers
};
static_assert(std::is_trivially_destructible_v<coordinator_options>);

DTASK_END
