// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// The content hash of a value that lies in several runs of bytes. The machines carry no hashing library: node/ gives
/// XXH3-128.
using digest_function = wire::digest (*)(std::span<const std::span<const std::byte>> runs);

/// What the coordinator is told at its start.
struct coordinator_options {
  duration heartbeat = std::chrono::seconds(1);      ///< how often a peer must be heard from
  duration suspect_after = std::chrono::seconds(3);  ///< silence after which a worker gets no new jobs
  duration lost_after =
      std::chrono::seconds(5);  ///< silence after which a worker is lost and its jobs are placed again
  duration reattach_within =
      std::chrono::seconds(1);  ///< a worker whose link broke may come back this long and keep its jobs
  duration session_grace =
      std::chrono::seconds(10);  ///< a client whose link broke may come back this long; then its jobs are cancelled
  duration hello_within =
      std::chrono::seconds(5);  ///< a connection that has said nothing valid for this long is closed
  duration drain_within = std::chrono::seconds(30);  ///< an orderly end waits this long for jobs
  duration prefetch_time =
      std::chrono::milliseconds(5);  ///< work that a worker should hold in advance, measured by its own speed
  std::uint32_t prefetch_min = 1;    ///< jobs per slot held in advance, at least
  std::uint32_t prefetch_max = 256;  ///< and at most; 0: no prefetch
  std::uint32_t alone_after_deaths =
      2;  ///< a job that was running when this many workers died runs alone on a worker from then on
  std::uint32_t quarantine_after_deaths = 3;  ///< and is not run again after this many
  /// Arguments and records of all jobs; above it new jobs are answered `overloaded`. As many bytes of results may wait
  /// for their clients; above that no job is placed.
  std::uint64_t queue_bytes = std::uint64_t{1} << 30;
  /// The same for one client: its credit, and the bytes of results that it has not taken, above which its queued jobs
  /// wait.
  std::uint64_t session_bytes = std::uint64_t{512} << 20;
  std::uint64_t result_bytes = std::uint64_t{64}
                               << 20;  ///< result bytes that one worker may send ahead of their clients
  std::uint64_t broadcast_bytes = std::uint64_t{1} << 30;  ///< broadcast values of all sessions
  std::uint32_t max_jobs = 4u << 20;
  std::uint32_t max_links = 4096;      ///< connections that have not said hello count too
  std::uint32_t max_strangers = 1024;  ///< connections that have not said hello
  std::uint64_t cookie = 0;            ///< workers and clients must show it (spawn://); 0: not asked for
  wire::limits limits;
  digest_function digest = nullptr;  ///< needed for broadcasts
};

/// What a worker is told at its start, besides its identity.
struct worker_options {
  duration abandon_after =
      std::chrono::seconds(5);  ///< a job that ignores stop for this long is abandoned, its slot is lost
  duration unreachable_after = std::chrono::seconds(60);  ///< without a coordinator for this long the worker ends
  duration hello_within = std::chrono::seconds(5);        ///< an answer to its hello must come in this time
  duration redial_min = std::chrono::milliseconds(50);    ///< pause before the second dial; doubles
  duration redial_max = std::chrono::seconds(1);
  duration drain_within =
      std::chrono::seconds(30);  ///< an orderly end waits this long for running jobs, then stops them
  std::uint64_t broadcast_bytes = std::uint64_t{4} << 30;  ///< broadcast values held here
  wire::limits limits;
  digest_function digest = nullptr;
};

/// What a client is told at its start, besides its identity.
struct client_options {
  duration connect_within = std::chrono::seconds(10);  ///< for the first connection
  duration coordinator_wait =
      std::chrono::seconds(10);  ///< after a break, calls wait this long for a coordinator, then end `coordinator_lost`
  duration hello_within = std::chrono::seconds(5);
  duration redial_min = std::chrono::milliseconds(50);
  duration redial_max = std::chrono::seconds(1);
  duration deadline_slack =
      std::chrono::milliseconds(100);  ///< at deadline plus this a call ends here even if the coordinator is silent
  duration cancel_within =
      std::chrono::seconds(10);  ///< a cancelled call ends here after this time even if its worker has not confirmed
  duration close_within = std::chrono::seconds(10);  ///< `close` waits this long for the ends of cancelled calls
  duration status_within = std::chrono::seconds(5);
  std::uint64_t unsent_bytes =
      std::uint64_t{64}
      << 20;  ///< cost of calls that wait to be sent, for the first time or again; above it there is no room for more
  std::uint32_t max_calls = 4u << 20;
  wire::limits limits;
  digest_function digest = nullptr;
};
static_assert(std::is_trivially_destructible_v<coordinator_options> &&
              std::is_trivially_destructible_v<worker_options> && std::is_trivially_destructible_v<client_options>);

/// Who a worker, client or observer is: what its hello says.
struct identity {
  wire::role role = wire::role::client;
  std::string name;
  std::string host;
  std::uint32_t pid = 0;
  std::uint32_t slots = 0;           ///< worker: jobs that it runs at once
  std::uint64_t cookie = 0;          ///< what the launcher gave; 0: none
  std::vector<wire::job_type> jobs;  ///< what it runs, or may submit
};

/// Names of broadcasts are not longer than this: every worker gets them, in a frame beside the value.
inline constexpr std::size_t max_broadcast_name = 4096;
/// Names of programs and hosts are cut to this: they stand in the ends of jobs, in the log and in the status.
inline constexpr std::size_t max_peer_name = 256;

/// An acknowledgement waits for another message to ride along with, at most this long.
inline constexpr duration acknowledge_within = std::chrono::milliseconds(5);
/// So many acknowledgements, or one of a job with more than so many bytes, which are kept until then, do not wait; nor
/// do those that others wait for.
inline constexpr std::size_t acknowledge_at_once = 64;
/// So many go into one message: the smallest frame that a peer may ask for holds four times that.
inline constexpr std::size_t acknowledge_in_frame = 4096;
inline constexpr std::uint64_t acknowledge_large = std::uint64_t{64} << 10;

/// What a job costs of its client's credit beside its payload: about what the coordinator's record of it takes.
inline constexpr std::uint64_t job_cost = 256;

}  // namespace control
DTASK_END
