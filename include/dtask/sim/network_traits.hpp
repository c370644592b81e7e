// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"

DTASK_BEGIN
namespace sim {

/// A machine of the simulation. Processes come and go on it.
using host_id = std::uint32_t;

/// One direction of one connection.
struct link_traits {
  duration latency = std::chrono::microseconds(100);
  duration jitter{};                          ///< added to each read, at most
  std::uint64_t bytes_per_second = 0;         ///< 0: no limit
  std::size_t window = std::size_t{1} << 20;  ///< bytes that both systems hold
  double tiny_reads = 0;                      ///< share of reads that are cut to a few bytes
};

/// From what the traits of a new connection are drawn.
struct network_traits {
  duration latency_min = std::chrono::microseconds(50);
  duration latency_max = std::chrono::milliseconds(2);
  duration jitter = std::chrono::microseconds(200);
  std::size_t window_min = std::size_t{16} << 10;
  std::size_t window_max = std::size_t{4} << 20;
  std::uint64_t bytes_per_second = 0;
  double tiny_reads = 0.02;
  duration dial_gives_up = std::chrono::seconds(3);     ///< on a path that is blocked
  duration stuck_link_ends = std::chrono::seconds(20);  ///< a connection whose bytes cannot arrive for this long breaks
};

}  // namespace sim
DTASK_END
