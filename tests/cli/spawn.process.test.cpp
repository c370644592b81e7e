// SPDX-License-Identifier: BSL-1.0
// Worker processes started by spawn://: this test program plays them.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/cli/worker_role.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"
#include "program.hpp"

using namespace std::chrono_literals;

namespace {

unsigned own_pid() { return static_cast<unsigned>(::getpid()); }
int last_words() {
  std::fputs("cannot go on like this\n", stderr);
  std::abort();
}
std::string word_of(unsigned size) { return std::string(size, 'x'); }
int runs_for_ever() {
  for (volatile bool on = true; on;) {
  }
  return 0;
}
using pid_job = dtask::function_job<"pid/1", &own_pid, dtask::pure>;
using abort_job = dtask::function_job<"abort/1", &last_words, dtask::pure>;
using once_job = dtask::function_job<"once/1", &last_words, dtask::at_most_once>;
using endless_job = dtask::function_job<"endless/1", &runs_for_ever, dtask::pure>;
using word_job = dtask::function_job<"word/1", &word_of, dtask::pure>;
using jobs = dtask::registry<pid_job, abort_job, once_job, endless_job, word_job>;

const dtask_test::role spawned("spawned", [](int argc, char** argv) -> int {
  // The supervisor wrote: PROGRAM --role=spawned worker --connect ...
  const auto worker = std::find(argv, argv + argc, std::string_view("worker"));
  return dtask::worker_role(static_cast<int>(argv + argc - worker), worker, jobs::entries());
});

template <class Body>
void on_spawned(const char* url, Body body, dtask::cluster_options options = {}) {
  dtask::work_pool pool(2);
  const std::string self = dtask_test::self();
  static constexpr std::array<std::string_view, 1> arguments{"--role=spawned"};
  options.command = self;
  options.arguments = arguments;
  auto all = [](const char* where, Body& b, dtask::cluster_options o) -> dtask::task<> {
    auto connecting = dtask::cluster::connect<jobs>(where, o);
    dtask::cluster c = co_await std::move(connecting);
    auto running = b(c);
    co_await std::move(running);
    co_await c.close();
  };
  dtask::sync_wait(pool, dtask::with_timeout(all(url, body, options), 100s));
}

}  // namespace

TEST_CASE("spawn: processes of their own, replaced when they die, all answers come") {
  on_spawned("spawn://2", [](dtask::cluster& c) -> dtask::task<> {
    const unsigned first = co_await c.call<pid_job>();
    CHECK(first != own_pid());
    const auto before = c.worker_pids();
    REQUIRE(before.size() == 2);
    for (const auto pid : before) ::kill(static_cast<pid_t>(pid), SIGKILL);
    std::set<unsigned> answered;
    for (int i = 0; i < 20; ++i) answered.insert(co_await c.call<pid_job>());
    for (const auto pid : before) CHECK_FALSE(answered.contains(pid));
  });
}

TEST_CASE("spawn: a job that kills its worker is quarantined, with the signal and the last words") {
  on_spawned("spawn://1", [](dtask::cluster& c) -> dtask::task<> {
    const auto o = co_await c.try_call<abort_job>();
    REQUIRE_FALSE(o);
    CAPTURE(o.error().what());
    CHECK(o.error().code() == dtask::errc::quarantined);
    CHECK(o.attempts() == 3);
    CHECK(std::string(o.error().what()).find("signal 6") != std::string::npos);
    CHECK(std::string(o.error().what()).find("cannot go on like this") != std::string::npos);
    // The others go on.
    const auto next = co_await c.try_call<pid_job>();
    CHECK(next);
    const auto once = co_await c.try_call<once_job>();
    REQUIRE_FALSE(once);
    CHECK(once.error().code() == dtask::errc::worker_lost);
    CHECK(once.attempts() == 1);
  });
}

TEST_CASE("spawn: a job that runs for ever ends at its deadline, and does not hold up the end of the cluster") {
  on_spawned("spawn://1", [](dtask::cluster& c) -> dtask::task<> {
    auto hasty = c.with({.deadline = 200ms});
    const auto o = co_await hasty.try_call<endless_job>();
    REQUIRE_FALSE(o);
    CHECK(o.error().code() == dtask::errc::deadline_exceeded);
  });
}

TEST_CASE("spawn: the processes have the limits of the options") {
  dtask::cluster_options options;
  options.worker.limits.payload = 2000;
  on_spawned(
      "spawn://1",
      [](dtask::cluster& c) -> dtask::task<> {
        const auto fits = co_await c.try_call<word_job>(1000u);
        CHECK(fits);
        const auto refused = co_await c.try_call<word_job>(3000u);
        REQUIRE_FALSE(refused);
        CAPTURE(refused.error().what());
        CHECK(refused.error().code() == dtask::errc::too_large);
        CHECK(refused.error().remedy().find("--payload-bytes") != std::string::npos);
      },
      options);
}

TEST_CASE("spawn: where a later process cannot be started, those before it end, and the error says why") {
  dtask::work_pool pool(1);
  const std::string self = dtask_test::self();
  static constexpr std::array<std::string_view, 1> arguments{"--role=spawned"};
  dtask::cluster_options options;
  options.command = self;
  options.arguments = arguments;
  rlimit usual{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &usual) == 0);
  for (int round = 0; round < 10; ++round) {
    // Room for a few of them: each takes three descriptors of this process.
    rlimit few = usual;
    few.rlim_cur = static_cast<rlim_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                                     std::filesystem::directory_iterator())) +
                   20;
    ::setrlimit(RLIMIT_NOFILE, &few);
    std::string said;
    try {
      dtask::sync_wait(pool, dtask::cluster::connect<jobs>("spawn://16", options));
    } catch (const dtask::error& e) {
      said = e.what();
    }
    ::setrlimit(RLIMIT_NOFILE, &usual);
    CHECK_MESSAGE(said.find("Too many open files") != std::string::npos, said);
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  }
}

TEST_CASE("spawn: a command that cannot be started is an error at once") {
  dtask::work_pool pool(1);
  dtask::cluster_options options;
  options.command = "/no/such/program";
  try {
    dtask::sync_wait(pool, dtask::cluster::connect<jobs>("spawn://1", options));
    FAIL("no error");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::io_error);
    CHECK(e.place() == "/no/such/program");
  }
}
