// SPDX-License-Identifier: BSL-1.0
// Under a real mpirun.
#include <doctest/doctest.h>
#include <signal.h>

#include <string>

#include "launchers.hpp"

using namespace launchers;

TEST_CASE("mpirun: one program, one world, and what becomes of it when a rank dies") {
  const auto start = mpirun(2);
  if (!start) return;
  is_whole(run(*start + command{launched()}), 2);
  const finished h = run(*start + command{hello()});
  CHECK(h.code == 0);
  CHECK(h.out == "primes below one million: 78498\n");
  const finished alone = run(*mpirun(1) + command{launched()});
  CHECK(alone.code == 0);
  CHECK(has(alone.out, "local pid "));
  const held_port held;
  const finished taken = run(*mpirun(2, {"DTASK_PORT=" + held.text()}) + command{launched()});
  CHECK(taken.code == 3);
  CHECK(has(taken.err, "DTASK_PORT"));
  // A rank that dies ends the run, with its cause.
  process p(*start + command{launched(), "--do", "wait"});
  REQUIRE_MESSAGE(p.wait_for(process::out, "workers 2"), p.report());
  const std::string text = p.text(process::out), mark = "rank-1 pid ";
  ::kill(static_cast<pid_t>(std::stol(text.substr(text.find(mark) + mark.size()))), SIGKILL);
  const auto end = p.wait();
  REQUIRE_MESSAGE(end, p.report());
  CHECK(end->code != 0);
  CHECK_MESSAGE(has(p.text(process::err), "signal 9"), p.report());
}
