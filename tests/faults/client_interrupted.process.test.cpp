// SPDX-License-Identifier: BSL-1.0
// What happens to its jobs when a client is interrupted or dies.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "site.hpp"

using namespace faults;

TEST_CASE("Ctrl-C of the client: its jobs are cancelled on the workers, it leaves with 130") {
  site s;
  s.add_worker({"--slots", "2"});
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold:a", "--job", "hold_once:b", "--job", "hold:c"});
  process& client = s.add_client(what);
  s.started("");
  s.started("");
  client.signal(SIGINT);
  CHECK(s.events.next_with("stopped "));
  CHECK(s.events.next_with("stopped "));
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK_MESSAGE(end->code == 130, client.report());
  // Nothing of it is left: the slots are free for the next client.
  process& later = s.add_client({"--job", "echo:x", "--job", "echo:y"});
  REQUIRE_MESSAGE(later.wait(), later.report());
  CHECK(site::answers(later).size() == 2);
  // `c` waited, or `b`, which is not sent ahead of a free slot. It may have got a slot before its own cancel came, and
  // was stopped then like the others.
  int runs = 0;
  while (const std::optional<std::string> line = s.events.next(std::chrono::milliseconds(0))) {
    CHECK_MESSAGE((line->find(" b ") != std::string::npos || line->find(" c ") != std::string::npos), *line);
    runs += line->starts_with("started ") ? 1 : -1;
  }
  CHECK(runs == 0);
}

TEST_CASE("two signals at once are one wish: the client leaves in order") {
  site s;
  s.add_worker({"--slots", "2"});
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold:a", "--job", "hold:b"});
  process& client = s.add_client(what);
  s.started("");
  s.started("");
  // Held meanwhile, so that it hears both in the same instant; two kinds, since two of one kind may become one.
  client.signal(SIGSTOP);
  client.signal(SIGTERM);
  client.signal(SIGINT);
  client.signal(SIGCONT);
  CHECK(s.events.next_with("stopped "));
  CHECK(s.events.next_with("stopped "));
  const std::optional<ending> end = client.wait();
  REQUIRE_MESSAGE(end, client.report());
  CHECK_MESSAGE((end->code == 130 || end->code == 143), client.report());
  CHECK(s.coordinator().wait_for(process::err, "client_left"));  // not detached: it said goodbye
}

TEST_CASE("another Ctrl-C, later, ends the client at once, even while a job ignores its stop") {
  site s;
  s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--job", "deaf:a"});
  process& client = s.add_client(what);
  s.started("a");
  std::optional<ending> end;
  for (int i = 0; i < 100 && !end; ++i) {
    client.signal(SIGINT);
    end = client.wait(std::chrono::milliseconds(100));
  }
  REQUIRE_MESSAGE(end, client.report());
  CHECK_MESSAGE((end->code == 130 || end->signal == SIGINT), client.report());
  // In order it would have waited for its job and said goodbye.
  CHECK_MESSAGE(s.coordinator().wait_for(process::err, "client_detached"), s.coordinator().report());
}

TEST_CASE("SIGKILL of the client: after the grace time its jobs are cancelled on the workers") {
  site s({"--session-grace", "0.3"});
  s.add_worker();
  command what = s.meeting();
  what.insert(what.end(), {"--job", "hold:a"});
  process& client = s.add_client(what);
  s.started("a");
  client.signal(SIGKILL);
  REQUIRE(client.wait());
  CHECK(s.events.next_with("stopped a"));
  process& later = s.add_client({"--job", "echo:x"});
  REQUIRE_MESSAGE(later.wait(), later.report());
  CHECK(site::answers(later).size() == 1);
}

TEST_CASE("SIGKILL of a client of spawn://: its workers end") {
  site s;
  command what{app_path(), "--on", "spawn://2", "--job", "hold:a", "--job", "hold:b"};
  const command where = s.meeting();
  what.insert(what.end(), where.begin(), where.end());
  process client(what);
  const pid_t first = s.started("a").second;
  client.signal(SIGKILL);
  REQUIRE(client.wait());
  // The workers are not our children; a pidfd tells when one is gone.
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, first, 0));
  if (fd >= 0) {
    pollfd gone{fd, POLLIN, 0};
    CHECK(::poll(&gone, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) == 1);
    ::close(fd);
  }
}
