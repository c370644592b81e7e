// SPDX-License-Identifier: BSL-1.0
// Every role with every number of descriptors and of threads, from hardly any to enough: it works, or ends with one
// line and an exit code of its own.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "process.hpp"
#include "program.hpp"
#include "scratch.hpp"
#include "site.hpp"
#include "stranger.hpp"

using namespace faults;

#if !DTASK_ASAN && !DTASK_TSAN  // whose runtimes open files and start threads of their own

namespace {

std::string hello() { return (dtask_test::build_dir() / "examples/hello/hello").string(); }
std::string tool() { return (dtask_test::build_dir() / "tools/dtask/dtask").string(); }

/// A program that ends by itself, or says in its log that it is up and is then told to leave.
struct role {
  std::string name;
  command line;
  std::string up;  ///< what its log says when it works; empty: it ends by itself
};
std::vector<role> roles(const std::string& url) {
  return {
      {"status", {tool(), "status", "--on", url, "--within", "0.2"}, ""},
      {"local://", {hello(), "--on", "local://2"}, ""},
      {"spawn://", {hello(), "--on", "spawn://2"}, ""},
      {"client", {hello(), "--on", url, "--connect-within", "0.2"}, ""},
      {"client of a name",
       {hello(), "--on", "tcp://localhost" + url.substr(url.rfind(':')), "--connect-within", "0.2"},
       ""},
      {"worker", {hello(), "worker", "--connect", url, "--slots", "2", "--unreachable-after", "0.2"}, "joined"},
      {"coordinator", {tool(), "coordinator", "--listen", "127.0.0.1:0"}, "listening tcp://"},
      {"coordinator of a name", {tool(), "coordinator", "--listen", "localhost:0"}, "listening tcp://"},
  };
}

/// Whether it worked. Where it did not, what it says and its exit code are checked.
bool works(const role& r, process& p) {
  if (!r.up.empty() && p.wait_for(process::err, r.up)) p.signal(SIGTERM);
  const auto end = p.wait();
  REQUIRE_MESSAGE(end, "it hangs: " << p.report());
  CHECK_MESSAGE(end->signal == 0, "signal " << end->signal << ": " << p.report());
  if (end->code == 0) return true;
  // 1: no thread or descriptor; 2: it cannot listen; 3: no connection could be made.
  CHECK_MESSAGE((end->code >= 1 && end->code <= 3), p.report());
  const std::vector<std::string> lines = p.lines(process::err);
  CHECK_MESSAGE(lines.back().find("ulimit") != std::string::npos, p.report());
  // What a worker logs of its tries, and a coordinator inside a client of children that it loses, comes before.
  const auto is_log = [](const std::string& line) { return line.size() > 12 && line[2] == ':' && line[8] == '.'; };
  if (r.up.empty()) CHECK_MESSAGE(std::count_if(lines.begin(), lines.end(), std::not_fn(is_log)) == 1, p.report());
  return false;
}

/// Whether it starts at all: with fewer descriptors the system cannot load its libraries.
bool loads(const std::string& program, std::size_t files) {
  process p({program, "--help"}, {.open_files = files});
  const auto end = p.wait();
  return end && end->code == 0;
}

}  // namespace

TEST_CASE("any number of descriptors: every role works or ends with one line") {
  site s;
  const process worker({hello(), "worker", "--connect", s.url(), "--slots", "1"});
  REQUIRE(s.coordinator().wait_for(process::err, "worker_joined"));
  for (const role& r : roles(s.url())) {
    CAPTURE(r.name);
    std::size_t files = 4;
    while (!loads(r.line.front(), files)) REQUIRE(++files < 16);
    int failed = 0;
    for (int good = 0; good < 2; ++files) {
      CAPTURE(files);
      REQUIRE(files < 64);
      process p(r.line, {.open_files = files});
      works(r, p) ? ++good : ++failed;
    }
    CHECK(failed > 0);
  }
}

TEST_CASE("any number of threads: every role works or ends with one line") {
  site s;
  const process worker({hello(), "worker", "--connect", s.url(), "--slots", "1"});
  REQUIRE(s.coordinator().wait_for(process::err, "worker_joined"));
  const std::string few = (dtask_test::build_dir() / "tests/faults/libdtask_few_threads.so").string();
  for (const role& r : roles(s.url())) {
    CAPTURE(r.name);
    int failed = 0;
    for (int threads = 0, good = 0; good < 2; ++threads) {
      CAPTURE(threads);
      REQUIRE(threads < 256);
      command line{"/usr/bin/env", "LD_PRELOAD=" + few, "DTASK_TEST_THREADS=" + std::to_string(threads)};
      line.insert(line.end(), r.line.begin(), r.line.end());
      process p(line);
      works(r, p) ? ++good : ++failed;
    }
    CHECK(failed > 0);
  }
}

TEST_CASE(
    "a coordinator without a descriptor left serves those that it has, lets others in as it can, and does not spin") {
  scratch folder;
  process coordinator(
      {tool(), "coordinator", "--listen", "127.0.0.1:0", "--port-file", folder.file("port"), "--hello-within", "60"},
      {.open_files = 24});
  const auto port = folder.wait_for_line("port", coordinator);
  REQUIRE_MESSAGE(port, coordinator.report());
  const std::string url = "tcp://127.0.0.1:" + *port;
  process worker({app_path(), "worker", "--connect", url, "--slots", "1"});
  REQUIRE(coordinator.wait_for(process::err, "worker_joined"));
  const double before = coordinator.cpu_seconds();
  std::vector<stranger> silent;
  for (int i = 0; i < 60; ++i) silent.emplace_back(static_cast<std::uint16_t>(std::stoi(*port)));
  REQUIRE_MESSAGE(coordinator.wait_for(process::err, "accept_failed"), coordinator.report());
  process client({app_path(), "--on", url, "--job", "echo:x"});
  const auto end = client.wait();
  REQUIRE_MESSAGE(end, coordinator.report() << client.report());
  CHECK_MESSAGE(end->code == 0, coordinator.report() << client.report());
  CHECK(worker.running());
  CHECK(coordinator.text(process::err).find("worker_lost") == std::string::npos);
  CHECK(coordinator.cpu_seconds() - before < 1);
}

#endif
