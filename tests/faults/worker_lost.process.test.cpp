// SPDX-License-Identifier: BSL-1.0
// What happens to the jobs of a worker that dies, hangs, or comes late.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "site.hpp"

using namespace faults;

namespace {

/// Every job of the client ended exactly once and well.
void check_all_ok(process& client, std::size_t jobs) {
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK_MESSAGE(end->code == 0, client.report());
  std::multiset<std::string> names;
  for (const answer& a : site::answers(client)) {
    CHECK_MESSAGE(a.code == "ok", a.job << ": " << a.code << ' ' << a.rest);
    names.insert(a.job);
  }
  CHECK_MESSAGE(names.size() == jobs, client.report());
  CHECK_MESSAGE(std::set<std::string>(names.begin(), names.end()).size() == jobs, client.report());
}

}  // namespace

TEST_CASE("SIGKILL of a worker in the middle: its jobs are placed again, each has one outcome") {
  site s;
  s.add_worker({"--slots", "2"});
  command what = s.meeting();
  for (const char* name : {"a", "b"}) what.insert(what.end(), {"--job", std::string("hold:") + name});
  for (int i = 0; i < 50; ++i) what.insert(what.end(), {"--job", "echo:e" + std::to_string(i)});
  process& client = s.add_client(what);
  const auto [attempt, pid] = s.started("a");
  CHECK(attempt == 1);
  s.add_worker({"--slots", "2"});
  s.worker_with(pid).signal(SIGKILL);
  const auto [again, elsewhere] = s.started("a");
  CHECK(again == 2);
  CHECK(elsewhere != pid);
  s.open_gate();
  check_all_ok(client, 52);
}

TEST_CASE("SIGKILL of a worker: a job that may not run twice ends with worker_lost") {
  site s;
  s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold_once:a", "--job", "hold_once:b"});
  process& client = s.add_client(what);
  const auto [attempt, pid] = s.started("");
  s.worker_with(pid).signal(SIGKILL);
  s.add_worker();
  // One of the two was running and is lost; the other had not been handed out and runs on the new worker.
  s.started("");
  s.open_gate();
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK(end->code == 1);
  std::multiset<std::string> codes;
  for (const answer& a : site::answers(client)) codes.insert(a.code);
  const std::multiset<std::string> expected{"ok", "worker_lost"};
  CHECK_MESSAGE(codes == expected, client.report());
}

TEST_CASE("SIGSTOP of a worker: its jobs are placed again, and its late results are dropped when it goes on") {
  site s;
  s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold:a", "--job", "hold:b", "--job", "hold:c"});
  process& client = s.add_client(what);
  const auto [attempt, pid] = s.started("a");
  process& stopped = s.worker_with(pid);
  s.add_worker({"--slots", "4"});
  stopped.signal(SIGSTOP);
  const auto [again, elsewhere] = s.started("a");
  CHECK(again == 2);
  CHECK(elsewhere != pid);
  // It wakes up with the gate open and answers a job that is no longer its own.
  s.open_gate();
  const std::size_t before = s.joined();
  stopped.signal(SIGCONT);
  check_all_ok(client, 3);
  CHECK_MESSAGE(s.coordinator().wait_for_count(process::err, site::joined_text, before + 1), s.coordinator().report());
  CHECK(stopped.running());
  process& later = s.add_client({"--job", "echo:x"});
  check_all_ok(later, 1);
}

TEST_CASE("all workers killed, new ones started: everything is answered") {
  site s;
  std::vector<process*> first{&s.add_worker(), &s.add_worker()};
  command what = s.meeting();
  for (int i = 0; i < 4; ++i) what.insert(what.end(), {"--job", "hold:h" + std::to_string(i)});
  for (int i = 0; i < 200; ++i) what.insert(what.end(), {"--job", "echo:e" + std::to_string(i)});
  process& client = s.add_client(what);
  s.started("");
  s.started("");
  for (process* w : first) w->signal(SIGKILL);
  for (process* w : first) CHECK(w->wait());
  s.open_gate();
  s.add_worker();
  s.add_worker();
  check_all_ok(client, 204);
}

TEST_CASE("a worker that joins late gets the jobs that were waiting") {
  site s;
  process& client = s.add_client({"--job", "echo:a", "--job", "echo:b"});
  REQUIRE_MESSAGE(s.coordinator().wait_for(process::err, "client_joined"), s.coordinator().report());
  s.add_worker();
  check_all_ok(client, 2);
}

TEST_CASE("no worker within the stated time: no_worker, with a remedy") {
  site s;
  process& client = s.add_client({"--no-worker-ms", "300", "--job", "echo:a"});
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK(end->code == 1);
  const std::vector<answer> all = site::answers(client);
  REQUIRE(all.size() == 1);
  CHECK(all[0].code == "no_worker");
  CHECK(all[0].rest.find("start a worker") != std::string::npos);
}

TEST_CASE("a worker asked to leave finishes what it runs, and nothing is lost") {
  site s;
  process& leaving = s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold_once:a", "--job", "echo:b", "--job", "echo:c"});
  process& client = s.add_client(what);
  s.started("a");
  leaving.signal(SIGTERM);
  s.add_worker();
  s.open_gate();
  check_all_ok(client, 3);
  const std::optional<ending> end = leaving.wait();
  REQUIRE_MESSAGE(end, leaving.report());
  CHECK_MESSAGE(end->code == 0, leaving.report());
}
