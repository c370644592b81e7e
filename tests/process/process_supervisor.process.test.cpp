// SPDX-License-Identifier: BSL-1.0
#include "dtask/process/parts/process_supervisor.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

using dtask::detail::launch_plan;
using dtask::detail::process_supervisor;

namespace {

/// What a supervisor reports, from its thread to that of the test.
class reports {
 public:
  process_supervisor::ended take() {
    return [this](std::uint32_t, std::string how) {
      const std::lock_guard hold(guard_);
      all_.push_back(std::move(how));
      more_.notify_all();
    };
  }
  void wait_for(const std::string& words, int times) {
    std::unique_lock hold(guard_);
    CAPTURE(words);
    REQUIRE(more_.wait_for(hold, std::chrono::minutes(1),
                           [&] { return std::count(all_.begin(), all_.end(), words) >= times; }));
  }
  std::size_t count() {
    const std::lock_guard hold(guard_);
    return all_.size();
  }

 private:
  std::mutex guard_;
  std::condition_variable more_;
  std::vector<std::string> all_;
};

launch_plan shell(std::string script, std::uint32_t count) {
  launch_plan plan;
  plan.program = "/bin/sh";
  plan.arguments = {"-c", std::move(script)};
  plan.count = count;
  plan.first_pause = std::chrono::milliseconds(1);
  plan.longest_pause = std::chrono::milliseconds(2);
  return plan;
}

}  // namespace

TEST_CASE("process_supervisor: an end is reported with its last words, and there is a successor with the same number") {
  ::setenv("DTASK_TEST_INHERITED", "1", 1);
  launch_plan plan = shell("echo \"{} $NUMBER ${DTASK_TEST_INHERITED-left out}\" >&2; exit 3", 2);
  plan.environment = {"NUMBER={}"};
  plan.without = {"DTASK_TEST_INHERITED"};
  reports ends;
  {
    const process_supervisor two(std::move(plan), ends.take());
    ends.wait_for("ended with exit code 3; its last words: 0 0 left out", 3);
    ends.wait_for("ended with exit code 3; its last words: 1 1 left out", 3);
  }
  ::unsetenv("DTASK_TEST_INHERITED");
}

TEST_CASE("process_supervisor: when it goes its processes read the end of their input, and are gone after it") {
  int shared[2];  // its write end is inherited: the read end ends when nobody has it any more
  REQUIRE(::pipe(shared) == 0);
  reports ends;
  {
    const std::string script = "while read word; do :; done; printf x >/proc/self/fd/" + std::to_string(shared[1]);
    const process_supervisor three(shell(script, 3), ends.take());
    CHECK(three.pids().size() == 3);
  }
  ::close(shared[1]);
  std::string said;
  char byte = 0;
  while (::read(shared[0], &byte, 1) == 1) said += byte;
  CHECK(said == "xxx");
  ::close(shared[0]);
  CHECK(ends.count() == 0);  // who ends them knows
}

TEST_CASE("process_supervisor: where a program cannot be started, it throws, and none of its processes lives") {
  launch_plan plan = shell("", 2);
  plan.program = "/no/such/program";
  reports ends;
  try {
    const process_supervisor none(std::move(plan), ends.take());
    FAIL("it began");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::io_error);
    CHECK(e.place() == "/no/such/program");
  }
  CHECK(ends.count() == 0);
}
