// SPDX-License-Identifier: BSL-1.0
// What ranks do for each other, started as a launcher would.
#include "launchers.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "dtask/base/core_count.hpp"

using namespace launchers;

namespace {

/// All ranks of a world on this host, started as mpirun would.
struct world {
  faults::scratch folder;
  std::vector<std::unique_ptr<process>> ranks;

  world() = default;
  explicit world(unsigned size, const command& options, const command& variables = {}) {
    for (unsigned rank = 0; rank < size; ++rank) add(rank, size, options, variables);
  }
  void add(unsigned rank, unsigned size, const command& options, const command& variables = {}) {
    ranks.push_back(std::make_unique<process>(
        under(as_rank(rank, size, folder.file("")) + variables, command{launched()} + options)));
  }
  process& operator[](std::size_t rank) { return *ranks[rank]; }
  void ends(std::size_t rank, int code) {
    const auto end = ranks[rank]->wait();
    REQUIRE_MESSAGE(end, "rank " << rank << " does not end: " << ranks[rank]->report());
    CHECK_MESSAGE(end->code == code, "rank " << rank << ": " << ranks[rank]->report());
  }
  /// The process of a rank, as rank 0 says it.
  pid_t pid_of(std::size_t rank) {
    const std::string mark = "rank-" + std::to_string(rank) + " pid ";
    REQUIRE_MESSAGE(ranks[0]->wait_for(process::out, "workers "), ranks[0]->report());
    const std::string text = ranks[0]->text(process::out);
    REQUIRE(has(text, mark));
    return static_cast<pid_t>(std::stol(text.substr(text.find(mark) + mark.size())));
  }
};

}  // namespace

TEST_CASE("launchers: a world of three works on three, and all end with 0") {
  world w(3, {});
  for (std::size_t rank = 0; rank < 3; ++rank) w.ends(rank, 0);
  const finished f{0, w[0].text(process::out), w[0].text(process::err)};
  is_whole(f, 3);
  CHECK(f.err == "");
  for (const std::size_t rank : {1, 2}) {
    CHECK(w[rank].text(process::out) == "");
    CHECK(w[rank].text(process::err) == "");
  }
  CHECK(std::filesystem::is_empty(w.folder.file("")));
}

TEST_CASE("launchers: the others are told of the end also where the body fails, and where jobs ignore stop") {
  {
    world w(2, {"--do", "fail"});
    w.ends(0, 1);
    w.ends(1, 0);
    CHECK(has(w[0].text(process::err), "the body fails"));
  }
  world w(2, {"--do", "endless", "--rank-slots", "1"});
  w.ends(0, 0);
  w.ends(1, 0);
  CHECK(has(w[0].text(process::out), "both run on"));
}

TEST_CASE("launchers: Ctrl-C ends the run, and all ranks") {
  world w(2, {"--do", "wait"});
  CHECK(w.pid_of(0) != w.pid_of(1));
  w[0].signal(SIGINT);
  w.ends(0, 130);
  w.ends(1, 0);
  // While a rank looks for rank 0.
  world alone;
  alone.add(1, 2, {});
  // It hears signals from its start on: from before it looks, so that it may be sent at any time after main began.
  while (!has(
      [&] {
        std::ifstream status("/proc/" + std::to_string(alone[0].pid()) + "/status");
        return std::string(std::istreambuf_iterator<char>(status), {});
      }(),
      "Threads:\t2"))
    REQUIRE(alone[0].running());
  alone[0].signal(SIGTERM);
  alone.ends(0, 0);
}

TEST_CASE("launchers: a rank that is killed is named, and the work goes on with the others") {
  world w(2, {"--do", "lose"});
  REQUIRE(w.pid_of(1) == w[1].pid());
  w[1].signal(SIGKILL);
  w.ends(0, 0);
  CHECK(has(w[0].text(process::out), "one is lost"));
  CHECK(has(w[0].text(process::out), sum));
  CHECK(has(w[0].text(process::err), "worker_lost"));
  CHECK(has(w[0].text(process::err), "rank-1"));
}

TEST_CASE("launchers: the end of rank 0 ends the others, and they say so") {
  world w(2, {"--do", "wait"});
  w.pid_of(1);
  w[0].signal(SIGKILL);
  w.ends(1, 3);
  CHECK(has(w[1].text(process::err), "(rank 1): rank 0 has ended or cannot be reached"));
}

TEST_CASE("launchers: a rank of another world does not join") {
  world w;
  w.add(0, 2, {});
  w.add(1, 3, {});
  w.ends(1, 3);
  CHECK(has(w[1].text(process::err), "rank 0 there is of a world of 2, and this is rank 1 of 3"));
  w.add(1, 2, {});
  w.ends(0, 0);
  w.ends(2, 0);
}

TEST_CASE("launchers: ranks that do not come, on either side") {
  world w;
  w.add(0, 3, {"--ranks-within", "0.3"});
  w.ends(0, 3);
  CHECK(has(w[0].text(process::err), "ranks 1, 2 of 3 did not come within 0.3 s"));
  world v;
  v.add(1, 2, {"--ranks-within", "0.3"});
  v.ends(0, 3);
  CHECK(has(v[0].text(process::err), "rank 0 did not say where it listens within 0.3 s"));
}

TEST_CASE("launchers: a port in use is exit code 3 and names DTASK_PORT") {
  const held_port held;
  world w;
  w.add(0, 2, {}, {"DTASK_PORT=" + held.text()});
  w.ends(0, 3);
  const std::string said = w[0].text(process::err);
  CHECK_MESSAGE(has(said, "DTASK_PORT"), said);
  CHECK_MESSAGE(has(said, "127.0.0.1:" + held.text()), said);
  CHECK(said.find('\n') == said.size() - 1);
}

TEST_CASE("launchers: what an earlier run left behind is not believed") {
  world w;
  std::ofstream(w.folder.file("dtask-test")) << "1 5\n";
  std::filesystem::permissions(w.folder.file("dtask-test"), std::filesystem::perms::owner_read);
  w.add(1, 2, {});
  w.add(0, 2, {});
  w.ends(0, 0);
  w.ends(1, 0);
}

TEST_CASE("launchers: --on, a role and --launcher none switch it off") {
  const faults::scratch folder;
  const command variables = as_rank(1, 2, folder.file(""));
  for (const command& options : {command{"--on", "local://2"}, command{"--launcher", "none"}}) {
    const finished f = run(under(variables, command{launched()} + options));
    CAPTURE(f.err);
    CHECK(f.code == 0);
    CHECK(has(f.out, "local pid "));
    CHECK(has(f.out, "workers 1\n"));
  }
  process coordinator(under(variables, {launched(), "coordinator", "--listen", "127.0.0.1:0"}));
  REQUIRE_MESSAGE(coordinator.wait_for(process::err, "listening tcp://"), coordinator.report());
  coordinator.signal(SIGTERM);
  CHECK(coordinator.wait().value().code == 0);
  CHECK(run(under(variables, {launched(), "worker", "--connect", "tcp://127.0.0.1:1", "--unreachable-after", "0.1",
                              "--log", "off"}))
            .code == 3);
  CHECK(has(run(under({}, {launched(), "--launcher", "other"})).err, "'other' is neither auto nor none"));
}

TEST_CASE("launchers: processes of spawn:// inherit none of it") {
  const faults::scratch folder;
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_SERVER_TMPDIR", "DTASK_PORT", "DTASK_COORDINATOR"}) {
    const finished f = run(under(as_rank(1, 2, folder.file("")) + command{"DTASK_PORT=1", "DTASK_COORDINATOR=h:1"},
                                 {launched(), "--on", "spawn://2", "--do", "variable", "--variable", name}));
    CAPTURE(f.err);
    CHECK(has(f.out, std::string(name) + "=-\n"));
  }
}

TEST_CASE("launchers: the share of the cores follows from the ranks of this host") {
  world w(2, {"--do", "variable", "--variable", "DTASK_LOCAL_WORKERS"});
  w.ends(0, 0);
  // All of this host, unless each is bound to cores of its own.
  const unsigned sharing = std::max(1U, 2 * dtask::bound_cores() / dtask::online_cores());
  CHECK(has(w[0].text(process::out), "DTASK_LOCAL_WORKERS=" + std::to_string(sharing) + "\n"));
  // What the user says stays; so many slots has each.
  world u(2, {"--do", "variable", "--variable", "DTASK_LOCAL_WORKERS", "--rank-slots", "3"}, {"DTASK_LOCAL_WORKERS=7"});
  u.ends(0, 0);
  CHECK(has(u[0].text(process::out), "DTASK_LOCAL_WORKERS=7\n"));
  CHECK(has(u[0].text(process::out), "slots 3\n"));
}

TEST_CASE("launchers: by hand, on one host") {
  const command where{"DTASK_WORLD=2", "DTASK_COORDINATOR=127.0.0.1:" + free_port()};
  process second(under(where + command{"DTASK_RANK=1"}, {launched()}));
  const finished first = run(under(where + command{"DTASK_RANK=0"}, {launched()}));
  is_whole(first, 2);
  CHECK(second.wait().value().code == 0);
  const finished wrong = run(under({"DTASK_RANK=2", "DTASK_WORLD=2", "DTASK_COORDINATOR=127.0.0.1:1"}, {launched()}));
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "DTASK_RANK=2 contradicts DTASK_WORLD=2"));
}

TEST_CASE("launchers: several hosts need --open-to-all and a cookie; clients read it too") {
  // 0.0.0.0 reaches this host, and is no loopback address.
  const std::string port = free_port();
  const command where{"DTASK_WORLD=2", "DTASK_COORDINATOR=0.0.0.0:" + port}, cookie{"DTASK_COOKIE=4711"};
  for (const char* rank : {"DTASK_RANK=0", "DTASK_RANK=1"}) {
    finished f = run(under(where + command{rank}, {launched(), "--open-to-all"}));
    CHECK(f.code == 2);
    CHECK(has(f.err, "DTASK_COOKIE"));
    f = run(under(where + cookie + command{rank}, {launched()}));
    CHECK(f.code == 2);
    CHECK(has(f.err, "--open-to-all"));
  }
  process first(under(where + cookie + command{"DTASK_RANK=0"}, {launched(), "--open-to-all", "--do", "wait"}));
  // One with another cookie is refused, and is none of the world.
  const finished stranger =
      run(under(where + command{"DTASK_COOKIE=4712", "DTASK_RANK=1"}, {launched(), "--open-to-all"}));
  CHECK(stranger.code == 3);
  CHECK_MESSAGE(has(stranger.err, "cookie"), stranger.err);
  process second(under(where + cookie + command{"DTASK_RANK=1"}, {launched(), "--open-to-all"}));
  REQUIRE_MESSAGE(first.wait_for(process::out, "workers 2"), first.report());
  const std::string url = "tcp://127.0.0.1:" + port;
  CHECK(run(under({}, {tool(), "status", "--on", url})).code == 3);
  CHECK(run(under(cookie, {tool(), "status", "--on", url})).code == 0);
  CHECK(run(under({}, {launched(), "--on", url})).code == 3);
  is_whole(run(under(cookie, {launched(), "--on", url})), 2);
  CHECK(has(run(under({"DTASK_COOKIE=x"}, {launched(), "--on", url})).err, "DTASK_COOKIE is no number"));
  first.signal(SIGTERM);
  CHECK(first.wait().value().code == 128 + SIGTERM);
  CHECK(second.wait().value().code == 0);
}

TEST_CASE("launchers: Kubernetes, by its variables") {
  const command where{"DTASK_WORLD=2", "DTASK_COORDINATOR=0.0.0.0:" + free_port(), "DTASK_COOKIE=4711"};
  process second(under(where + command{"JOB_COMPLETION_INDEX=1"}, {launched(), "--open-to-all"}));
  is_whole(run(under(where + command{"JOB_COMPLETION_INDEX=0"}, {launched(), "--open-to-all"})), 2);
  CHECK(second.wait().value().code == 0);
}

TEST_CASE("launchers: torchrun's variables, without torchrun") {
  const std::string port = std::to_string(std::stoul(free_port()) - 1);
  const command all{"TORCHELASTIC_RUN_ID=test-" + std::to_string(::getpid()), "WORLD_SIZE=2", "LOCAL_WORLD_SIZE=2",
                    "MASTER_ADDR=localhost", "MASTER_PORT=" + port};
  process second(under(all + command{"RANK=1", "LOCAL_RANK=1"}, {launched()}));
  is_whole(run(under(all + command{"RANK=0", "LOCAL_RANK=0"}, {launched()})), 2);
  CHECK(second.wait().value().code == 0);
}
