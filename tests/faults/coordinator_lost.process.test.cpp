// SPDX-License-Identifier: BSL-1.0
// What happens when the coordinator dies, and comes back or does not.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "site.hpp"

using namespace faults;

namespace {
std::map<std::string, answer> by_job(process& client) {
  std::map<std::string, answer> all;
  for (answer& a : site::answers(client)) {
    CHECK_MESSAGE(all.count(a.job) == 0, a.job << " has two outcomes");
    all[a.job] = a;
  }
  return all;
}
}  // namespace

TEST_CASE(
    "the coordinator is killed and restarted: what may run twice is submitted again, the rest gets its cause, workers "
    "come back") {
  site s;
  process& worker = s.add_worker({"--slots", "2"});
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold:a", "--job", "hold_once:b", "--job", "echo:c", "--job", "hold:d"});
  process& client = s.add_client(what);
  s.started("");
  s.started("");
  s.kill_coordinator();
  s.restart_coordinator();
  // The client learns from the new coordinator that the old one is gone for good: what may not run twice ends there and
  // then, before anything else does.
  REQUIRE_MESSAGE(client.wait_for(process::out, "outcome hold_once:b coordinator_lost"), client.report());
  REQUIRE_MESSAGE(s.coordinator().wait_for(process::err, site::joined_text), s.coordinator().report()
                                                                                 << worker.report());
  s.started("");
  s.open_gate();
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report() << s.coordinator().report());
  CHECK(end->code == 1);
  auto all = by_job(client);
  CHECK_MESSAGE(all.size() == 4, client.report());
  CHECK(all["hold:a"].code == "ok");
  CHECK(all["hold_once:b"].code == "coordinator_lost");
  CHECK(all["echo:c"].code == "ok");
  CHECK(all["hold:d"].code == "ok");
  CHECK(worker.running());
  // The session goes on with the new coordinator.
  process& later = s.add_client({"--job", "echo:x"});
  REQUIRE(later.wait());
  CHECK(by_job(later)["echo:x"].code == "ok");
}

TEST_CASE("the coordinator does not come back: every call ends with coordinator_lost") {
  site s;
  s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--coordinator-wait", "0.5", "--job", "hold:a", "--job", "hold_once:b", "--job", "echo:c"});
  process& client = s.add_client(what);
  s.started("");
  s.kill_coordinator();
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  auto all = by_job(client);
  CHECK_MESSAGE(all.size() == 3, client.report());
  for (auto& [job, a] : all) CHECK_MESSAGE((a.code == "coordinator_lost" || a.code == "ok"), job << ' ' << a.code);
  CHECK(all["hold:a"].code == "coordinator_lost");
  // The program looked at its outcomes itself.
  CHECK(end->code == 1);
}

TEST_CASE("the coordinator does not come back: a program that lets the error through ends with 3 and one line") {
  site s;
  s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--coordinator-wait", "0.5", "--strict", "--job", "hold:a"});
  process& client = s.add_client(what);
  s.started("a");
  s.kill_coordinator();
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK_MESSAGE(end->code == 3, client.report());
  CHECK_MESSAGE(process::occurrences(client.text(process::err), "faults_app: ") == 1, client.report());
}

TEST_CASE("a worker without a coordinator ends by itself, with a line that says so") {
  site s;
  process& worker = s.add_worker({"--unreachable-after", "0.5"});
  s.kill_coordinator();
  const std::optional<ending> end = worker.wait();
  REQUIRE_MESSAGE(end, worker.report());
  CHECK(end->signal == 0);
  CHECK_MESSAGE(end->code != 0, worker.report());
}

TEST_CASE("a coordinator asked to leave: running jobs end, the others and the worker go on with the next one") {
  site s;
  process& worker = s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold:a"});
  process& client = s.add_client(what);
  s.started("a");
  s.coordinator().signal(SIGTERM);
  REQUIRE_MESSAGE(s.coordinator().wait_for(process::err, "draining"), s.coordinator().report());
  command once = s.meeting();
  once.insert(once.end(), {"--job", "hold_once:b"});
  process& late = s.add_client(once);
  s.open_gate();
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK(by_job(client)["hold:a"].code == "ok");
  const std::optional<ending> gone = s.coordinator().wait();
  REQUIRE_MESSAGE(gone, s.coordinator().report());
  CHECK_MESSAGE(gone->code == 0, s.coordinator().report());
  s.restart_coordinator();
  REQUIRE_MESSAGE(late.wait(), late.report());
  CHECK_MESSAGE(by_job(late)["hold_once:b"].code == "ok", late.report());
  CHECK(worker.running());
}

TEST_CASE("SIGSTOP of the coordinator: its clients give it up in time, and it serves again when it goes on") {
  site s;
  process& worker = s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--coordinator-wait", "0.5", "--job", "hold:a"});
  process& client = s.add_client(what);
  s.started("a");
  s.coordinator().signal(SIGSTOP);
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK(by_job(client)["hold:a"].code == "coordinator_lost");
  s.open_gate();
  s.coordinator().signal(SIGCONT);
  process& later = s.add_client({"--job", "echo:x"});
  REQUIRE_MESSAGE(later.wait(), later.report() << s.coordinator().report() << worker.report());
  CHECK_MESSAGE(by_job(later)["echo:x"].code == "ok", later.report());
  CHECK(worker.running());
}
