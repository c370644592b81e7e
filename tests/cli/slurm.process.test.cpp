// SPDX-License-Identifier: BSL-1.0
// Under a real Slurm.
#include <doctest/doctest.h>
#include <signal.h>

#include <fstream>
#include <iterator>
#include <string>

#include "launchers.hpp"

using namespace launchers;

TEST_CASE("slurm: srun, sbatch, and a batch script without a step") {
  const auto site = slurm::start();
  if (!site) return;
  is_whole(run(site->srun(2) + command{launched()}), 2);
  is_whole(run(site->srun(3) + command{launched()}), 3);
  const finished share =
      run(site->srun(2) + command{launched(), "--do", "variable", "--variable", "DTASK_LOCAL_WORKERS"});
  CHECK_MESSAGE(has(share.out, "DTASK_LOCAL_WORKERS=2\n"), share.err);
  const finished failing = run(site->srun(2) + command{launched(), "--do", "fail"});
  CHECK(failing.code == 1);

  std::ofstream(site->file("batch.sh")) << "#!/bin/sh\n"
                                        << launched() << "\necho alone $?\nsrun --ntasks=2 --overcommit " << launched()
                                        << "\necho step $?\n";
  const finished f = run(site->sbatch(2, site->file("batch.sh"), site->file("batch.out")));
  std::ifstream in(site->file("batch.out"));
  const std::string out(std::istreambuf_iterator<char>(in), {});
  CAPTURE(out);
  CHECK(f.code == 0);
  const std::size_t alone = out.find("alone 0\n");
  REQUIRE(alone != std::string::npos);
  CHECK(has(out.substr(0, alone), "workers 1\n"));
  CHECK(has(out.substr(alone), "workers 2\n"));
  CHECK(has(out, "step 0\n"));

  // A rank that dies: the others go on, and the exit code of the step says it.
  process p(site->srun(2) + command{launched(), "--do", "lose"});
  REQUIRE_MESSAGE(p.wait_for(process::out, "workers 2"), p.report());
  const std::string text = p.text(process::out), mark = "rank-1 pid ";
  ::kill(static_cast<pid_t>(std::stol(text.substr(text.find(mark) + mark.size()))), SIGKILL);
  const auto end = p.wait();
  REQUIRE_MESSAGE(end, p.report());
  CHECK(end->code == 128 + SIGKILL);
  CHECK_MESSAGE(has(p.text(process::out), sum), p.report());
  CHECK_MESSAGE(has(p.text(process::err), "worker_lost"), p.report());
}
