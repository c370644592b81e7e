// SPDX-License-Identifier: BSL-1.0
// Each rule of docs/cluster.md, broken by a switch: chaos has to notice. usage: dtask_sim_mutants [NAME...]
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "sim/chaos.hpp"

int dtask_mutant = 0;  // 0: none; else its place in the table, from 1

namespace {

struct mutant {
  const char* name;
  const char* rule;
};
constexpr mutant mutants[] = {
#include "mutants.inc"
};
constexpr std::uint64_t honest_seeds = 200;
constexpr std::uint64_t most_seeds = 4000;
constexpr rlim_t most_seconds = 150;  // of CPU

// The first seed that notices, 0 where none does.
std::uint64_t first_to_notice(std::uint64_t seeds) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const harness::chaos_report report = harness::run_chaos(seed);
    if (report.violations.empty()) continue;
    std::printf("%-18s seed %llu: %s\n", dtask_mutant == 0 ? "(none)" : mutants[dtask_mutant - 1].name,
                static_cast<unsigned long long>(seed), report.violations.front().c_str());
    return seed;
  }
  return 0;
}

// In a process of its own, since what a broken machine does is open.
bool dies(int which) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit cpu{most_seconds, most_seconds + 1};
    setrlimit(RLIMIT_CPU, &cpu);
    dtask_mutant = which;
    const bool noticed = first_to_notice(most_seeds) != 0;
    std::fflush(stdout);
    _exit(noticed ? 1 : 0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  if (WIFSIGNALED(status) && WTERMSIG(status) != SIGXCPU && WTERMSIG(status) != SIGKILL) {
    std::printf("%-18s killed by signal %d\n", mutants[which - 1].name, WTERMSIG(status));
    return true;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

}  // namespace

int main(int argc, char** argv) {
  bool all = first_to_notice(honest_seeds) == 0;
  int which = 0;
  for (const mutant& each : mutants) {
    ++which;
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i) wanted |= std::strcmp(argv[i], each.name) == 0;
    if (!wanted || dies(which)) continue;
    std::printf("%-18s LIVES: \"%s\" could be broken unseen\n", each.name, each.rule);
    all = false;
  }
  return all ? EXIT_SUCCESS : EXIT_FAILURE;
}
