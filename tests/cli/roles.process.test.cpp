// SPDX-License-Identifier: BSL-1.0
// The roles of a program of dtask::main and the dtask tool, as processes.
#include <doctest/doctest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "faults/process.hpp"
#include "faults/scratch.hpp"
#include "program.hpp"

using faults::process;

namespace {

std::string hello() { return (dtask_test::build_dir() / "examples/hello/hello").string(); }
std::string tool() { return (dtask_test::build_dir() / "tools/dtask/dtask").string(); }

/// Runs a program to its end.
struct finished {
  int code = -1;
  int signal = 0;
  std::string out, err;
};
finished run(std::vector<std::string> command) {
  process p(std::move(command));
  const auto end = p.wait();
  REQUIRE_MESSAGE(end, "did not end: " << p.report());
  return {end->code, end->signal, p.text(process::out), p.text(process::err)};
}
bool one_line(const std::string& text) { return !text.empty() && text.find('\n') == text.size() - 1; }

/// Waits for the line that says where a coordinator listens.
std::string address_of(process& coordinator) {
  REQUIRE_MESSAGE(coordinator.wait_for(process::err, "listening tcp://"), coordinator.report());
  REQUIRE(
      coordinator.wait_for(process::err, "\n", faults::patience, coordinator.text(process::err).find("listening ")));
  const std::string text = coordinator.text(process::err);
  const auto at = text.find("tcp://");
  return text.substr(at, text.find('\n', at) - at);
}

}  // namespace

TEST_CASE("hello: in one process, on worker processes") {
  for (const char* url : {"local://1", "local://3", "spawn://2"}) {
    CAPTURE(url);
    const finished f = run({hello(), "--on", url});
    CHECK(f.code == 0);
    CHECK(f.out == "primes below one million: 78498\n");
    CHECK(f.err == "");
  }
}

TEST_CASE("hello header-only: the same program") {
  const finished f =
      run({(dtask_test::build_dir() / "tests/cli/dtask_hello_header_only").string(), "--on", "spawn://1"});
  CHECK(f.code == 0);
  CHECK(f.out == "primes below one million: 78498\n");
  CHECK(f.err == "");
}

TEST_CASE("header-only and compiled units in one program share its objects and use each other's") {
  const finished f = run({(dtask_test::build_dir() / "tests/cli/dtask_mixed").string()});
  CHECK(f.code == 0);
  CHECK(f.out == "42 42 42 one pool\n");
  CHECK(f.err == "");
}

TEST_CASE("hello: client, coordinator and workers as processes; status in words and JSON; orderly ends") {
  process coordinator({tool(), "coordinator", "--listen", "127.0.0.1:0", "--send-home"});
  const std::string url = address_of(coordinator);
  process first({hello(), "worker", "--connect", url, "--slots", "1", "--name", "first"});
  process second({hello(), "worker", "--connect", url, "--slots", "2", "--name", "second"});
  const finished f = run({hello(), "--on", url});
  CHECK_MESSAGE(f.code == 0, f.err);
  CHECK(f.out == "primes below one million: 78498\n");
  REQUIRE(coordinator.wait_for_count(process::err, "worker_joined", 2));
  const finished table = run({tool(), "status", "--on", url});
  CHECK(table.code == 0);
  CHECK(table.out.find("workers 2") != std::string::npos);
  CHECK(table.out.find("succeeded 100") != std::string::npos);
  CHECK(table.out.find("/second") != std::string::npos);
  const finished json = run({tool(), "status", "--on", url, "--json"});
  CHECK(one_line(json.out));
  CHECK(json.out.find("\"succeeded\":100") != std::string::npos);
  first.signal(SIGTERM);
  const auto left = first.wait();
  REQUIRE(left);
  CHECK(left->code == 0);
  coordinator.signal(SIGINT);
  const auto ended = coordinator.wait();
  REQUIRE(ended);
  CHECK(ended->code == 0);
  // The coordinator sent it home.
  const auto home = second.wait();
  REQUIRE_MESSAGE(home, second.report());
  CHECK(home->code == 0);
}

TEST_CASE("coordinator: the port file appears whole") {
  const faults::scratch folder;
  const std::string file = folder.file("port");
  process coordinator({hello(), "coordinator", "--listen", "127.0.0.1:0", "--port-file", file});
  const std::string url = address_of(coordinator);
  std::ifstream in(file);
  std::string port;
  std::getline(in, port);
  CHECK(url == "tcp://127.0.0.1:" + port);
}

TEST_CASE("mistakes: one line with cause and remedy, and the exit code for it") {
  process coordinator({tool(), "coordinator", "--listen", "127.0.0.1:0"});
  const std::string url = address_of(coordinator);
  const std::string at = url.substr(6);
  struct mistake {
    std::vector<std::string> command;
    int code;
    const char* says;
  };
  const std::vector<mistake> mistakes = {
      {{hello(), "--no-such-option"}, 2, "--no-such-option"},
      {{hello(), "--on", "nonsense"}, 2, "write tcp://HOST:PORT, local://N or spawn://N"},
      {{hello(), "--on"}, 2, "--help"},
      {{hello(), "worker"}, 2, "--connect"},
      {{hello(), "worker", "--connect", "local://2"}, 2, "tcp://HOST:PORT"},
      {{hello(), "worker", "--connect", url, "--slots", "x"}, 2, "--slots: 'x' is no number from 0 to 4096"},
      {{hello(), "worker", "--connect", url, "--slots", "0x4"}, 2, "--slots: '0x4' is no number from 0 to 4096"},
      {{hello(), "worker", "--connect", url, "--device", "fpga"}, 2, "'fpga' is no device (--device"},
      {{hello(), "worker", "--connect", url, "--polling", "1001"}, 2, "--polling: '1001' is no number of microseconds"},
      {{hello(), "--log", "loud"}, 2, "--log: 'loud' is none of debug"},
      {{tool(), "coordinator", "--listen", at}, 2, "choose another port"},
      {{tool(), "coordinator", "--listen", "0.0.0.0:0"}, 2, "--open-to-all"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--queue-bytes", "-1"},
       2,
       "--queue-bytes: '-1' is no number of bytes"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--session-bytes", "1"},
       2,
       "--session-bytes: '1' is no number of bytes"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--payload-bytes", "-1"}, 2, "--payload-bytes"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--payload-bytes", "18446744073709551615"},
       2,
       "--payload-bytes"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--broadcast-bytes", "-1"}, 2, "--broadcast-bytes"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--broadcast-bytes", "1e9"}, 2, "--broadcast-bytes"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--max-jobs", "0"}, 2, "--max-jobs"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--max-jobs", "-1"}, 2, "--max-jobs"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--heartbeat", "nan"}, 2, "--heartbeat: 'nan' is no time"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--drain-within", "inf"},
       2,
       "--drain-within: 'inf' is no time"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--drain-within", "-1"}, 2, "--drain-within"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--heartbeat", "10"},
       2,
       "heartbeat 10 s, suspect after 3 s, lost after 5 s"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--suspect-after", "8"}, 2, "choose --heartbeat"},
      {{hello(), "worker", "--connect", url, "--payload-bytes", "-1"}, 2, "--payload-bytes"},
      {{hello(), "worker", "--connect", url, "--broadcast-bytes", "-1"}, 2, "--broadcast-bytes"},
      {{hello(), "worker", "--connect", url, "--unreachable-after", "nan"}, 2, "--unreachable-after"},
      {{tool(), "coordinator", "--listen", "127.0.0.1:0", "--port-file", "/no/such/folder/port"}, 2, "--port-file"},
      {{tool(), "frobnicate"}, 2, "frobnicate"},
      {{tool()}, 2, "--help"},
      {{tool(), "status", "--on", "local://1"}, 2, "tcp://HOST:PORT"},
      // Port 1 on loopback: nobody listens there.
      {{hello(), "--on", "tcp://127.0.0.1:1", "--connect-within", "0.3"}, 3, "start a coordinator there"},
      {{hello(), "worker", "--connect", "tcp://127.0.0.1:1", "--unreachable-after", "0.3", "--log", "off"},
       3,
       "start a coordinator there"},
      {{tool(), "status", "--on", "tcp://127.0.0.1:1", "--within", "0.3"}, 3, "start a coordinator there"},
  };
  for (const mistake& m : mistakes) {
    const finished f = run(m.command);
    std::string words;
    for (const std::string& w : m.command) words += w + " ";
    CAPTURE(words);
    CAPTURE(f.err);
    CHECK(f.code == m.code);
    CHECK(one_line(f.err));
    CHECK(f.err.find(m.says) != std::string::npos);
    CHECK(f.out == "");
  }
}

TEST_CASE("help goes to stdout and names the roles") {
  const finished f = run({hello(), "--help"});
  CHECK(f.code == 0);
  CHECK(f.out.find("worker --connect tcp://HOST:PORT") != std::string::npos);
  CHECK(f.err == "");
  for (const char* role : {"worker", "coordinator"}) {
    const finished help = run({hello(), role, "--help"});
    CHECK(help.code == 0);
    CHECK(help.out.find("SECONDS") != std::string::npos);
    CHECK(help.out.find("Exit codes: 0 success") != std::string::npos);
  }
}

TEST_CASE("output that cannot be written is an error") {
  for (const char* to : {" > /dev/full", " >&-"}) {
    CAPTURE(to);
    const finished f = run({"/bin/sh", "-c", "exec \"$0\"" + std::string(to), hello()});
    CHECK(f.code == 1);
    CHECK(one_line(f.err));
    CHECK(f.err.find("the output could not be written: ") != std::string::npos);
  }
}

TEST_CASE("started with closed standard streams: no connection takes their numbers") {
  const faults::scratch folder;
  // A socket with number 2 would be sent the log, between the frames of the protocol.
  process coordinator({"/bin/sh", "-c",
                       "exec \"$0\" coordinator --listen 127.0.0.1:0 --port-file \"$1\" --log debug <&- >&- 2>&-",
                       tool(), folder.file("port")});
  const auto port = folder.wait_for_line("port", coordinator);
  REQUIRE(port);
  const std::string url = "tcp://127.0.0.1:" + *port;
  process worker(
      {"/bin/sh", "-c", "exec \"$0\" worker --connect \"$1\" --slots 1 --log debug <&- >&- 2>&-", hello(), url});
  const finished f = run({hello(), "--on", url});
  CHECK_MESSAGE(f.code == 0, f.err);
  CHECK(f.out == "primes below one million: 78498\n");
  for (const process* p : {&coordinator, &worker}) {
    for (int fd = 0; fd < 3; ++fd) {
      std::error_code failed;
      CHECK(std::filesystem::read_symlink("/proc/" + std::to_string(p->pid()) + "/fd/" + std::to_string(fd), failed) ==
            "/dev/null");
    }
  }
}
