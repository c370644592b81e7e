// SPDX-License-Identifier: BSL-1.0
// Jobs that throw, crash, never end, or whose result cannot travel.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "site.hpp"

using namespace faults;

namespace {
answer only_answer(process& client) {
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  const std::vector<answer> all = site::answers(client);
  REQUIRE_MESSAGE(all.size() == 1, client.report());
  return all.front();
}
bool has(const answer& a, std::string_view text) { return a.rest.find(text) != std::string::npos; }
void check_still_works(site& s) {
  process& client = s.add_client({"--job", "echo:x"});
  CHECK(only_answer(client).code == "ok");
}
}  // namespace

TEST_CASE("a job that throws: type, message and place reach the caller; it is not run again") {
  site s;
  process& worker = s.add_worker();
  process& client = s.add_client({"--job", "throws:the_disk_is_on_fire"});
  const answer a = only_answer(client);
  CHECK(a.code == "job_failed");
  CHECK(a.attempts == 1);
  CHECK_MESSAGE(has(a, "type=std::runtime_error"), a.rest);
  CHECK_MESSAGE(has(a, "message=the_disk_is_on_fire"), a.rest);
  CHECK_MESSAGE(has(a, "attempt 1"), a.rest);
  CHECK(worker.running());
  check_still_works(s);
}

TEST_CASE("a job that calls abort() is quarantined after three deaths, other jobs go on") {
  site s;
  for (int i = 0; i < 4; ++i) s.add_worker();
  command what{"--retries", "5", "--job", "aborts:" + s.events.path()};
  process& client = s.add_client(what);
  const answer a = only_answer(client);
  CHECK_MESSAGE(a.code == "quarantined", a.rest);
  CHECK_MESSAGE(a.attempts == 3, a.rest);
  check_still_works(s);
}

TEST_CASE("a job that calls abort() and may not run twice ends with worker_lost at once") {
  site s;
  process& worker = s.add_worker();
  process& client = s.add_client({"--job", "aborts_once:" + s.events.path()});
  const answer a = only_answer(client);
  CHECK(a.code == "worker_lost");
  CHECK(a.attempts == 1);
  const std::optional<ending> end = worker.wait();
  REQUIRE(end);
  CHECK(end->signal == SIGABRT);
}

TEST_CASE("a job that runs for ever: deadline_exceeded for the caller, then it is abandoned and its slot is lost") {
  site s;
  process& worker = s.add_worker({"--slots", "2", "--abandon-after", "0.2"});
  command what = s.meeting();
  what.insert(what.end(), {"--deadline-ms", "300", "--job", "deaf:a"});
  process& client = s.add_client(what);
  s.started("a");
  CHECK(only_answer(client).code == "deadline_exceeded");
  REQUIRE_MESSAGE(s.coordinator().wait_for(process::err, "slot_lost"), s.coordinator().report() << worker.report());
  check_still_works(s);
  CHECK(worker.running());
}

TEST_CASE("a worker without slots left exits with its own code") {
  site s;
  process& worker = s.add_worker({"--abandon-after", "0.2"});
  command what = s.meeting();
  what.insert(what.end(), {"--deadline-ms", "300", "--job", "deaf:a"});
  process& client = s.add_client(what);
  s.started("a");
  CHECK(only_answer(client).code == "deadline_exceeded");
  const std::optional<ending> end = worker.wait();
  REQUIRE_MESSAGE(end, worker.report());
  CHECK_MESSAGE(end->code > 2, worker.report());
}

TEST_CASE("a worker without slots left that is told to leave keeps its exit code") {
  site s;
  // Its standard input is a pipe that the test ends, as the process that spawned it would.
  const std::string input = s.folder.file("input");
  REQUIRE(::mkfifo(input.c_str(), 0600) == 0);
  int lifeline = ::open(input.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(lifeline >= 0);
  process worker({"/bin/sh", "-c",
                  "exec \"$0\" worker --connect \"$1\" --slots 1 --abandon-after 0.2 --until-stdin-ends < \"$2\"",
                  app_path(), s.url(), input});
  REQUIRE_MESSAGE(s.coordinator().wait_for(process::err, site::joined_text), s.coordinator().report()
                                                                                 << worker.report());
  command what = s.meeting();
  what.insert(what.end(), {"--deadline-ms", "300", "--job", "deaf:a"});
  process& client = s.add_client(what);
  s.started("a");
  CHECK(only_answer(client).code == "deadline_exceeded");
  // From here on it waits for its deaf job.
  REQUIRE_MESSAGE(worker.wait_for(process::err, "all slots are held"), worker.report());
  SUBCASE("by a signal") { worker.signal(SIGTERM); }
  SUBCASE("by the end of its standard input") {
    ::close(lifeline);
    lifeline = -1;
  }
  const std::optional<ending> end = worker.wait();
  REQUIRE_MESSAGE(end, worker.report());
  CHECK_MESSAGE(end->code == 4, "exit " << end->code << " signal " << end->signal << '\n' << worker.report());
  if (lifeline >= 0) ::close(lifeline);
}

TEST_CASE("a result that cannot be encoded: encode_failed with the reason, the worker goes on") {
  site s;
  process& worker = s.add_worker();
  process& client = s.add_client({"--job", "seal:for_good"});
  const answer a = only_answer(client);
  CHECK(a.code == "encode_failed");
  CHECK_MESSAGE(has(a, "for_good"), a.rest);
  CHECK(worker.running());
  check_still_works(s);
}

TEST_CASE("a result larger than the limit: too_large with the limit, the worker goes on") {
  site s({"--payload-bytes", "1048576"});
  process& worker = s.add_worker();
  process& client = s.add_client({"--job", "large:" + std::to_string(2 << 20)});
  const answer a = only_answer(client);
  CHECK(a.code == "too_large");
  CHECK(worker.running());
  check_still_works(s);
}
