// SPDX-License-Identifier: BSL-1.0
// Broadcast values when workers and the coordinator die.
#include <doctest/doctest.h>

#include <string>

#include "site.hpp"

using namespace faults;

namespace {
/// A client that broadcasts 3 MiB of x, more than one frame, and asks two workers' jobs what they got.
command reciting(const site& s) {
  command what = s.meeting();
  what.insert(what.end(), {"--broadcast", "x", "--job", "recite:a", "--job", "recite:b"});
  return what;
}
void check_recited(process& client) {
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK_MESSAGE(end->code == 0, client.report());
  const std::vector<answer> all = site::answers(client);
  CHECK_MESSAGE(all.size() == 2, client.report());
  for (const answer& a : all) CHECK_MESSAGE(a.rest.find("value=3145728x ") != std::string::npos, client.report());
}
}  // namespace

TEST_CASE("the worker that holds a broadcast is killed: the one that joins after it gets the value before the jobs") {
  site s;
  process& first = s.add_worker();
  process& client = s.add_client(reciting(s));
  s.started("");
  first.signal(SIGKILL);
  REQUIRE(first.wait());
  s.add_worker();
  s.started("");
  s.open_gate();
  check_recited(client);
}

TEST_CASE("the coordinator that holds a broadcast is killed: the next one has it from the client before the jobs") {
  site s;
  s.add_worker({"--slots", "2"});
  process& client = s.add_client(reciting(s));
  s.started("");
  s.started("");
  s.kill_coordinator();
  s.restart_coordinator();
  s.started("");
  s.started("");
  s.open_gate();
  check_recited(client);
}
