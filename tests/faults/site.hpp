// SPDX-License-Identifier: BSL-1.0
#pragma once
// A small cluster of real processes: one coordinator, workers, clients, all the program faults_app. The lease times are
// short, so that losses are seen quickly.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "process.hpp"
#include "program.hpp"
#include "scratch.hpp"

namespace faults {

using command = std::vector<std::string>;

inline std::string app_path() { return (dtask_test::build_dir() / "tests" / "faults" / "dtask_faults_app").string(); }
inline std::string other_app_path() {
  return (dtask_test::build_dir() / "tests" / "faults" / "dtask_faults_other").string();
}

/// One `outcome` line of a client: which job, how it ended.
struct answer {
  std::string job;   ///< as it was asked for
  std::string code;  ///< `ok`, or the errc in words
  std::string rest;  ///< value or error, attempts, worker
  unsigned attempts = 0;
};

/// A coordinator on a free port and what was started around it. Everything is killed at the end.
class site {
 public:
  /// `options`: further options of the coordinator.
  explicit site(command options = {}) : options_(std::move(options)), events(folder.file("events")) {
    start_coordinator("127.0.0.1:0");
  }

  process& coordinator() { return *coordinator_; }
  std::uint16_t port() const { return port_; }
  std::string url() const { return "tcp://127.0.0.1:" + std::to_string(port_); }

  /// A worker that has said on the coordinator's side that it is there; `wait` false: do not wait for that.
  process& add_worker(command options = {}, bool wait = true) {
    command c{app_path(), "worker", "--connect", through.empty() ? url() : through};
    if (std::find(options.begin(), options.end(), "--slots") == options.end()) c.insert(c.end(), {"--slots", "1"});
    c.insert(c.end(), options.begin(), options.end());
    const std::size_t before = joined();
    workers_.push_back(std::make_unique<process>(std::move(c)));
    process& w = *workers_.back();
    if (wait)
      REQUIRE_MESSAGE(coordinator_->wait_for_count(process::err, joined_text, before + 1), coordinator_->report()
                                                                                               << w.report());
    return w;
  }
  /// A client: `faults_app run --on URL WHAT...`, see faults_app.cpp.
  process& add_client(command what) {
    command c{app_path(), "--on", through.empty() ? url() : through};
    c.insert(c.end(), what.begin(), what.end());
    clients_.push_back(std::make_unique<process>(std::move(c)));
    return *clients_.back();
  }
  /// What `dtask status --json` prints.
  std::string status() const {
    process asked({(dtask_test::build_dir() / "tools/dtask/dtask").string(), "status", "--on", url(), "--json"});
    REQUIRE_MESSAGE(asked.wait(), asked.report());
    return asked.text(process::out);
  }
  const std::vector<std::unique_ptr<process>>& workers() const { return workers_; }
  /// Kills the coordinator and starts another one on the same port.
  void kill_coordinator() {
    coordinator_->signal(SIGKILL);
    REQUIRE(coordinator_->wait());
  }
  void restart_coordinator() { start_coordinator("127.0.0.1:" + std::to_string(port_)); }

  /// The option for one job that waits at the gate: `--job KIND:NAME`, together with where it tells and waits.
  command held(std::string_view kind, std::string_view name) const {
    return {"--job", std::string(kind) + ":" + std::string(name)};
  }
  /// Where the client's jobs tell and wait: to be given once per client.
  command meeting() const { return {"--events", events.path(), "--gate", gate()}; }
  std::string gate() const { return folder.file("gate"); }
  void open_gate() const { std::ofstream(gate()) << "open\n"; }

  /// Waits for the `started` line of a job with this name: `started NAME ATTEMPT PID`; gives attempt and pid.
  std::pair<unsigned, pid_t> started(std::string_view name) {
    const std::optional<std::string> line =
        events.next_with("started " + std::string(name) + (name.empty() ? "" : " "));
    REQUIRE_MESSAGE(line, "no start of job " << name << '\n' << coordinator_->report());
    const std::string rest = line->substr(line->find(' ', std::string_view("started ").size()) + 1);
    return {static_cast<unsigned>(std::atoi(rest.c_str())),
            static_cast<pid_t>(std::atoi(rest.c_str() + rest.find(' ')))};
  }
  process& worker_with(pid_t pid) {
    for (auto& w : workers_)
      if (w->pid() == pid) return *w;
    FAIL("no worker has pid " << pid);
    return *workers_.front();
  }

  /// All outcomes of a client that has ended.
  static std::vector<answer> answers(process& client) {
    std::vector<answer> all;
    for (const std::string& line : client.lines(process::out)) {
      // outcome JOB CODE attempts=N rest
      if (line.compare(0, 8, "outcome ") != 0) continue;
      answer a;
      std::size_t at = 8;
      const auto word = [&] {
        const std::size_t end = std::min(line.find(' ', at), line.size());
        std::string w = line.substr(at, end - at);
        at = std::min(end + 1, line.size());
        return w;
      };
      a.job = word();
      a.code = word();
      a.attempts = static_cast<unsigned>(std::atoi(word().c_str() + std::string_view("attempts=").size()));
      a.rest = line.substr(at);
      all.push_back(std::move(a));
    }
    return all;
  }

  static constexpr std::string_view joined_text = "worker_joined";
  std::size_t joined() { return process::occurrences(coordinator_->text(process::err), joined_text); }

  /// Where workers and clients connect instead: a proxy before the coordinator. Empty: to the coordinator itself.
  std::string through;
  scratch folder;

 private:
  void start_coordinator(const std::string& where) {
    std::remove(folder.file("port").c_str());
    command c{app_path(),    "coordinator", "--listen",        where, "--port-file",  folder.file("port"),
              "--heartbeat", "0.1",         "--suspect-after", "0.3", "--lost-after", "0.6"};
    c.insert(c.end(), options_.begin(), options_.end());
    coordinator_ = std::make_unique<process>(std::move(c));
    const std::optional<std::string> line = folder.wait_for_line("port", *coordinator_);
    REQUIRE_MESSAGE(line, coordinator_->report());
    port_ = static_cast<std::uint16_t>(std::atoi(line->c_str()));
    REQUIRE(port_ != 0);
  }

  command options_;
  std::uint16_t port_ = 0;
  std::unique_ptr<process> coordinator_;
  std::vector<std::unique_ptr<process>> workers_, clients_;

 public:
  event_pipe events;
};

}  // namespace faults
