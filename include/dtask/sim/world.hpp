// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <cstdio>

#include "dtask/base/config.hpp"
#include "dtask/sim/network.hpp"
#include "dtask/sim/observer.hpp"
#include "dtask/sim/random_source.hpp"
#include "dtask/sim/trace.hpp"
#include "dtask/sim/virtual_scheduler.hpp"

DTASK_BEGIN
namespace sim {

/// A process of the simulation: every start gives a new number.
using process_id = std::uint32_t;

/// What all processes of one simulation share. Everything in it follows from the seed. `watches` stays for as long.
struct world {
  world(std::uint64_t seed, observer& watches, const network_traits& traits = {}, std::FILE* trace_to = nullptr)
      : chance(seed), log(clock, trace_to), watch(watches), net(clock, chance.fork(), log, traits) {}
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  virtual_scheduler clock;
  random_source chance;
  trace log;
  observer& watch;
  network net;
  process_id last_process = 0;
};

}  // namespace sim
DTASK_END
