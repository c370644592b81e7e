// SPDX-License-Identifier: BSL-1.0
// The example `train` as its users start it, on real processes, while they are killed, paused and interrupted: the
// weights are always those of an undisturbed run, to the byte.
#if defined(DTASK_TEST_WITH_TRAIN)
#include <doctest/doctest.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "data/folder.hpp"
#include "dtask/base/read_file.hpp"
#include "faults/process.hpp"
#include "faults/scratch.hpp"
#include "program.hpp"
#include "torch/train_pictures.hpp"

using faults::process;
using command = std::vector<std::string>;

namespace {

std::string train_path() { return (dtask_test::build_dir() / "examples" / "train" / "train").string(); }

/// A coordinator, workers, and the data.
class ground {
 public:
  ground() {
    dtask_test::write_pictures(files_, "train", 640);
    dtask_test::write_pictures(files_, "t10k", 200);
    start_coordinator("127.0.0.1:0");
  }
  std::string file(const std::string& name) const { return files_.file(name); }
  std::string data() const { return files_.file(""); }
  std::string url() const { return "tcp://127.0.0.1:" + port_; }
  process& coordinator() { return *coordinator_; }
  void kill_coordinator() {
    coordinator_->signal(SIGKILL);
    REQUIRE(coordinator_->wait());
  }
  void restart_coordinator() { start_coordinator("127.0.0.1:" + port_); }
  process& add_worker() {
    workers_.push_back(std::make_unique<process>(command{train_path(), "worker", "--connect", url(), "--slots", "1"}));
    return *workers_.back();
  }
  process& worker(std::size_t i) { return *workers_.at(i); }
  /// A trainer with the options that all of them share.
  std::unique_ptr<process> train(const std::string& on, const std::string& out, command more = {}) const {
    command c{train_path(), "--on", on,         "--data", data(),   "--model", "mlp",    "--batch", "16",
              "--ranks",    "3",    "--epochs", "12",     "--seed", "5",       "--json", "--out",   file(out)};
    c.insert(c.end(), more.begin(), more.end());
    return std::make_unique<process>(std::move(c));
  }
  dtask::bytes weights(const std::string& name) const { return dtask::read_file(file(name)); }
  /// What an undisturbed run gives.
  dtask::bytes undisturbed(const command& more = {}) const {
    const auto quiet = train("local://1", "undisturbed", more);
    const auto end = quiet->wait();
    REQUIRE_MESSAGE(end, quiet->report());
    REQUIRE_MESSAGE(end->code == 0, quiet->report());
    return weights("undisturbed");
  }

 private:
  void start_coordinator(const std::string& at) {
    std::remove(file("port").c_str());
    coordinator_ =
        std::make_unique<process>(command{train_path(), "coordinator", "--listen", at, "--port-file", file("port"),
                                          "--heartbeat", "0.1", "--suspect-after", "0.3", "--lost-after", "0.6"});
    const auto line = files_.wait_for_line("port", *coordinator_);
    REQUIRE_MESSAGE(line, coordinator_->report());
    port_ = *line;
  }
  faults::scratch files_;
  std::string port_;
  std::unique_ptr<process> coordinator_;
  std::vector<std::unique_ptr<process>> workers_;
};

void check_end(process& p, int code = 0) {
  const auto end = p.wait();
  REQUIRE_MESSAGE(end, p.report());
  CHECK_MESSAGE(end->code == code, p.report());
}

}  // namespace

TEST_CASE("train: workers are killed, paused and replaced in the middle: the same bytes") {
  ground g;
  for (const char* strategy : {"sync", "local_sgd"}) {
    const command how{"--strategy", strategy, "--steps", "3"};
    const dtask::bytes expected = g.undisturbed(how);
    process& first = g.add_worker();
    process& second = g.add_worker();
    const auto t = g.train(g.url(), "disturbed", how);
    REQUIRE_MESSAGE(t->wait_for(process::out, "\"epoch\": 2"), t->report());
    first.signal(SIGKILL);
    REQUIRE_MESSAGE(t->wait_for(process::out, "\"epoch\": 3"), t->report());
    process& third = g.add_worker();
    REQUIRE_MESSAGE(t->wait_for(process::out, "\"epoch\": 4"), t->report());
    second.signal(SIGSTOP);
    REQUIRE_MESSAGE(t->wait_for(process::out, "\"epoch\": 6"), t->report() << third.report());
    second.signal(SIGCONT);
    // All of them are replaced.
    second.signal(SIGKILL);
    third.signal(SIGKILL);
    g.add_worker();
    check_end(*t);
    CHECK(g.weights("disturbed") == expected);
    CHECK_MESSAGE(t->text(process::out).find("\"reproducible\": false") == std::string::npos, t->report());
    for (std::size_t i = 0; i < 4; ++i) g.worker(i).signal(SIGKILL);
  }
}

TEST_CASE("train: on spawn://, and from shards that the client sends, the same bytes") {
  ground g;
  const dtask::bytes expected = g.undisturbed();
  const auto spawned = g.train("spawn://2", "spawned", {"--plot", g.file("plot.svg")});
  const auto end = spawned->wait();
  REQUIRE_MESSAGE(end, spawned->report());
  // Whether or not there is a gnuplot, the figures are there.
  const bool drawn = spawned->text(process::err).find("install gnuplot-nox") == std::string::npos;
  CHECK_MESSAGE((end->code == 0) == drawn, spawned->report());
  CHECK(dtask::read_file(g.file("plot.svg.csv")).view().starts_with("epoch,loss,"));
  if (drawn) CHECK(dtask::read_file(g.file("plot.svg")).view().find("<svg") != std::string_view::npos);
  CHECK(g.weights("spawned") == expected);
  g.add_worker();
  const auto sent = g.train(g.url(), "sent", {"--send-data"});
  check_end(*sent);
  CHECK(g.weights("sent") == expected);
}

TEST_CASE("train: the coordinator is killed and comes back: the same bytes") {
  ground g;
  const dtask::bytes expected = g.undisturbed();
  g.add_worker();
  g.add_worker();
  const auto t = g.train(g.url(), "disturbed");
  REQUIRE_MESSAGE(t->wait_for(process::out, "\"epoch\": 3"), t->report());
  g.kill_coordinator();
  g.restart_coordinator();
  check_end(*t);
  CHECK(g.weights("disturbed") == expected);
}

TEST_CASE("train: interrupted, it says how to go on; killed, it goes on as well: the same bytes") {
  ground g;
  const dtask::bytes expected = g.undisturbed();
  g.add_worker();
  g.add_worker();
  const command keep{"--checkpoints", g.file("run")};
  command resume = keep;
  resume.push_back("--resume");
  const auto interrupted = g.train(g.url(), "resumed", keep);
  REQUIRE_MESSAGE(interrupted->wait_for(process::out, "\"epoch\": 2"), interrupted->report());
  interrupted->signal(SIGINT);
  check_end(*interrupted, 130);
  CHECK_MESSAGE(interrupted->text(process::err).find("go on with: ") != std::string::npos, interrupted->report());
  CHECK(interrupted->text(process::err).find(" --resume") != std::string::npos);
  const auto killed = g.train(g.url(), "resumed", resume);
  REQUIRE_MESSAGE(killed->wait_for(process::out, "\"epoch\": 5"), killed->report());
  killed->signal(SIGKILL);
  REQUIRE(killed->wait());
  const auto last = g.train(g.url(), "resumed", resume);
  check_end(*last);
  CHECK_MESSAGE(last->text(process::err).find("going on from ") != std::string::npos, last->report());
  CHECK(g.weights("resumed") == expected);
}

TEST_CASE("train: a folder that a worker cannot read is named with the worker, which stays usable") {
  ground g;
  process& worker = g.add_worker();
  process wrong({train_path(), "--on", g.url(), "--data", g.file("nowhere"), "--model", "mlp"});
  check_end(wrong, 1);
  CHECK_MESSAGE(wrong.text(process::err).find("nowhere/train-labels-idx1-ubyte") != std::string::npos, wrong.report());
  CHECK_MESSAGE(wrong.text(process::err).find("worker ") != std::string::npos, wrong.report());
  CHECK(worker.running());
  const auto good = g.train(g.url(), "good");
  check_end(*good);
}
#endif
