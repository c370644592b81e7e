// SPDX-License-Identifier: BSL-1.0
#include "dtask/process/parts/child_process.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

using dtask::detail::child_process;

namespace {

/// The ends of pipes that a child has as its streams, and their other ends here.
struct pipes {
  int input[2] = {-1, -1}, errors[2] = {-1, -1};
  pipes() {
    REQUIRE(::pipe2(input, O_CLOEXEC) == 0);
    REQUIRE(::pipe2(errors, O_CLOEXEC) == 0);
  }
  pipes(const pipes&) = delete;
  pipes& operator=(const pipes&) = delete;
  ~pipes() {
    for (const int fd : {input[0], input[1], errors[0], errors[1]})
      if (fd >= 0) ::close(fd);
  }
  void hang_up() { ::close(std::exchange(input[1], -1)); }
  child_process::streams of_child() const { return {.input = input[0], .errors = errors[1]}; }
};
child_process shell(const pipes& p, const std::string& script) {
  const std::vector<std::string> words{"-c", script};
  return child_process::start("/bin/sh", words, dtask::detail::environment_with({}), p.of_child()).value();
}
std::string end_of(child_process& c) {
  pollfd ended{c.descriptor(), POLLIN, 0};
  if (c.descriptor() >= 0) REQUIRE(::poll(&ended, 1, 60'000) == 1);
  auto how = c.take_end();
  REQUIRE(how);
  CHECK_FALSE(c);
  CHECK_FALSE(c.take_end());
  return *how;
}
/// A process that is no child of this one and lives until the pipe ends.
pid_t stranger(int until) {
  int number[2];
  REQUIRE(::pipe2(number, O_CLOEXEC) == 0);
  const pid_t between = ::fork();
  if (between == 0) {
    const pid_t made = ::fork();
    if (made == 0) {
      // Its descriptors are its own: only the parent's write end counts.
      ::dup2(until, 0);
      for (int fd = 3; fd < 64; ++fd) ::close(fd);
      char c = 0;
      ::_exit(::read(0, &c, 1) == 0 ? 0 : 1);
    }
    ::_exit(::write(number[1], &made, sizeof made) == sizeof made ? 0 : 1);
  }
  ::close(number[1]);
  pid_t made = -1;
  REQUIRE(::read(number[0], &made, sizeof made) == sizeof made);
  ::close(number[0]);
  ::waitpid(between, nullptr, 0);
  return made;
}

}  // namespace

TEST_CASE("a child process: runs until its end, which is told once and in words") {
  CHECK_FALSE(child_process::unsupported());
  const pipes p;
  child_process none;
  CHECK_FALSE(none);
  CHECK_FALSE(none.take_end());
  child_process c = shell(p, "exit 7");
  CHECK(end_of(c) == "ended with exit code 7");
  c = shell(p, "kill -SEGV $$");
  CHECK(end_of(c) == "killed by signal 11 (Segmentation fault)");
  pipes held;
  c = shell(held, "read word");
  CHECK(c);
  CHECK_FALSE(c.take_end());
  SUBCASE("its standard input ends") {
    held.hang_up();
    CHECK(end_of(c) == "ended with exit code 1");
  }
  SUBCASE("it gets a signal") {
    c.signal(SIGTERM);
    CHECK(end_of(c) == "killed by signal 15 (Terminated)");
  }
  c.signal(SIGKILL);  // to nobody
}

TEST_CASE("a child whose status somebody else took has ended all the same") {
  const pipes p;
  SUBCASE("SIGCHLD is ignored") {
    const auto before = ::signal(SIGCHLD, SIG_IGN);
    for (const char* script : {"exit 0", "sleep 0.05"}) {
      child_process c = shell(p, script);
      CHECK(end_of(c).starts_with("ended, and how is not known"));
    }
    ::signal(SIGCHLD, before);
  }
  SUBCASE("another thread waited") {
    child_process c = shell(p, "exit 3");
    REQUIRE(::waitpid(static_cast<pid_t>(c.pid()), nullptr, 0) > 0);
    CHECK(end_of(c).starts_with("ended, and how is not known"));
  }
}

TEST_CASE("a number that is no child's any more is never held") {
  const pipes p;
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  REQUIRE(::waitpid(gone, nullptr, 0) == gone);
  child_process c = child_process::hold(gone).value();
  CHECK(c);
  CHECK(c.descriptor() == -1);
  CHECK(end_of(c).starts_with("ended, and how is not known"));

  // Somebody else has the number by now.
  pipes life;
  const pid_t other = stranger(life.input[0]);
  c = child_process::hold(other).value();
  c.signal(SIGKILL);
  CHECK(c.descriptor() == -1);
  CHECK(end_of(c).starts_with("ended, and how is not known"));
  CHECK(::kill(other, 0) == 0);
  life.hang_up();
}

TEST_CASE("what cannot be started says why, and leaves no process") {
  const pipes p;
  const auto failed = child_process::start("/no/such/program", {}, {}, p.of_child());
  REQUIRE_FALSE(failed);
  CHECK(failed.error().place() == "/no/such/program");
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("variables for a child replace inherited ones of the same name, and no others") {
  ::setenv("DTASK_TEST_A", "1", 1);
  ::setenv("DTASK_TEST_AB", "2", 1);
  const std::vector<std::string> more{"DTASK_TEST_A=3", "DTASK_TEST_NEW=4"};
  std::vector<std::string> ours;
  for (const std::string& v : dtask::detail::environment_with(more))
    if (v.starts_with("DTASK_TEST_A") || v.starts_with("DTASK_TEST_NEW")) ours.push_back(v);
  CHECK(ours == std::vector<std::string>{"DTASK_TEST_A=3", "DTASK_TEST_NEW=4", "DTASK_TEST_AB=2"});
  ::unsetenv("DTASK_TEST_A");
  ::unsetenv("DTASK_TEST_AB");
}
