// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dtask/base/client_options.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/coordinator_options.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/worker_options.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace control {

/// The content hash of a value that lies in several runs of bytes. The machines carry no hashing library: node/ gives
/// XXH3-128.
using digest_function = wire::digest (*)(std::span<const std::span<const std::byte>> runs);

/// With what node/ gives the machine besides.
struct coordinator_options : dtask::coordinator_options {
  digest_function digest = nullptr;  ///< needed for broadcasts
};
struct worker_options : dtask::worker_options {
  digest_function digest = nullptr;
};
struct client_options : dtask::client_options {
  digest_function digest = nullptr;
};

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
/// So many names of broadcast and published values a session may have at once.
inline constexpr std::size_t max_broadcast_names = std::size_t{1} << 12;
/// So many values of published names the jobs of one worker may wait for at once.
inline constexpr std::size_t max_fetches = std::size_t{1} << 12;
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

/// What a process had sent before it ended may come for so long after its end was seen.
inline constexpr duration last_words_within = std::chrono::seconds(1);

/// What a job costs of its client's credit beside its payload: about what the coordinator's record of it takes.
inline constexpr std::uint64_t job_cost = 256;

}  // namespace control
DTASK_END
