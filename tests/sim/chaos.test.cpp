// SPDX-License-Identifier: BSL-1.0
#include "chaos.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace sim = dtask::sim;

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}
std::FILE* trace_file() { return from_environment("DTASK_SIM_TRACE", 0) != 0 ? stderr : nullptr; }

std::string replay(std::uint64_t seed) {
  return "DTASK_SIM_SEED=" + std::to_string(seed) +
         " build/debug/tests/dtask_test_sim -tc=\"chaos: every seed keeps every promise\"  # DTASK_SIM_TRACE=1 writes "
         "what happens";
}

}  // namespace

// DTASK_SIM_SEED=N runs that seed alone; DTASK_SIM_SEEDS=N runs N of them instead of 500; DTASK_SIM_FIRST=N begins with
// another one.
TEST_CASE("chaos: every seed keeps every promise") {
  const std::uint64_t one = from_environment("DTASK_SIM_SEED", 0);
  const std::uint64_t first = one != 0 ? one : from_environment("DTASK_SIM_FIRST", 1);
  const std::uint64_t count = one != 0 ? 1 : from_environment("DTASK_SIM_SEEDS", 500);
  std::uint64_t calls = 0, executions = 0, faults = 0, steps = 0, failed = 0;
  std::map<dtask::errc, std::uint64_t> ends;
  dtask::duration slowest{};
  for (std::uint64_t seed = first; seed < first + count && failed < 5; ++seed) {
    INFO("replay with: ", replay(seed));
    const harness::chaos_report r = harness::run_chaos(seed, trace_file());
    calls += r.calls;
    executions += r.executions;
    faults += r.faults;
    steps += r.steps;
    slowest = std::max(slowest, r.healed);
    for (const auto& [code, times] : r.ends) ends[code] += times;
    std::string all;
    for (const std::string& v : r.violations) all += "\n  " + v;
    if (!all.empty()) ++failed;
    CHECK_MESSAGE(r.violations.empty(), "seed ", seed, " violated:", all);
  }
  std::string table;
  for (const auto& [code, times] : ends)
    table += " " + std::string(dtask::to_string(code)) + " " + std::to_string(times);
  MESSAGE(count, " seeds, ", steps, " steps, ", faults, " faults, ", calls, " calls, ", executions,
          " executions; ends:", table, "; slowest to heal ", static_cast<double>(slowest.count()) * 1e-9, " s");
  CHECK(calls >= count);
}

TEST_CASE("chaos: one seed gives one history") {
  for (std::uint64_t seed = 9001; seed < 9006; ++seed) {
    const harness::chaos_report a = harness::run_chaos(seed), b = harness::run_chaos(seed);
    CHECK(a.hash == b.hash);
    CHECK(a.steps == b.steps);
    const harness::chaos_report other = harness::run_chaos(seed + 100);
    CHECK(a.hash != other.hash);
  }
}
