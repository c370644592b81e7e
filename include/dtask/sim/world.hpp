// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <cstdio>

#include "dtask/base/config.hpp"
#include "dtask/sim/ledger.hpp"
#include "dtask/sim/network.hpp"
#include "dtask/sim/random_source.hpp"
#include "dtask/sim/trace.hpp"
#include "dtask/sim/virtual_scheduler.hpp"

DTASK_BEGIN
namespace sim {

/// What all processes of one simulation share. Everything in it follows from the seed.
struct world {
  explicit world(std::uint64_t seed, const network_traits& traits = {}, std::FILE* trace_to = nullptr)
      : chance(seed), log(clock, trace_to), book(clock, log), net(clock, chance.fork(), log, traits) {}
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  virtual_scheduler clock;
  random_source chance;
  trace log;
  ledger book;
  network net;
  process_id last_process = 0;
};

}  // namespace sim
DTASK_END
