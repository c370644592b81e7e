// SPDX-License-Identifier: BSL-1.0
// What happens to its jobs when a client is interrupted or dies.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "dtask/cli/exit_code.hpp"
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
  // They come to this process when their own parent is gone, so that it hears how they end.
  REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  std::string kind;
  int code = 0;
  SUBCASE("their jobs hear that they are to stop") {
    kind = "hold";
    code = 0;
  }
  SUBCASE("also while their jobs compute: they are given up before a worker would give them up by itself") {
    kind = "deaf";
    code = dtask::exit_code::cluster;
  }
  site s;
  command what{app_path(), "--on", "spawn://2", "--job", kind + ":a", "--job", kind + ":b"};
  const command where = s.meeting();
  what.insert(what.end(), where.begin(), where.end());
  process client(what);
  std::vector<int> workers;
  for (int i = 0; i < 2; ++i) {
    workers.push_back(static_cast<int>(::syscall(SYS_pidfd_open, s.started("").second, 0)));
    REQUIRE(workers.back() >= 0);
  }
  client.signal(SIGKILL);
  REQUIRE(client.wait());
  for (const int worker : workers) {
    pollfd gone{worker, POLLIN, 0};
    CHECK(::poll(&gone, 1, static_cast<int>(std::chrono::milliseconds(patience).count())) == 1);
    siginfo_t how{};
    REQUIRE(::waitid(static_cast<idtype_t>(3), static_cast<id_t>(worker), &how, WEXITED | WNOHANG) == 0);  // P_PIDFD
    CHECK(how.si_code == CLD_EXITED);
    CHECK(how.si_status == code);
    ::close(worker);
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}
