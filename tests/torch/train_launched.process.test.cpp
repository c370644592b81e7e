// SPDX-License-Identifier: BSL-1.0
// The example `train`, unchanged under every launcher: the same bytes as on spawn://.
#if defined(DTASK_TEST_WITH_TRAIN)
#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "cli/launchers.hpp"
#include "dtask/base/read_file.hpp"
#include "faults/scratch.hpp"
#include "torch/train_pictures.hpp"

using namespace launchers;

TEST_CASE("train: mpirun -n 2, srun -n 2, sbatch, torchrun and spawn://2 give the same bytes") {
  const faults::scratch files;
  dtask_test::write_pictures(files, "train", 640);
  dtask_test::write_pictures(files, "t10k", 200);
  const auto train = [&files](const std::string& out) {
    return command{(dtask_test::build_dir() / "examples/train/train").string(),
                   "--data",
                   files.file(""),
                   "--model",
                   "mlp",
                   "--batch",
                   "16",
                   "--ranks",
                   "2",
                   "--epochs",
                   "1",
                   "--seed",
                   "5",
                   "--json",
                   "--out",
                   files.file(out)};
  };
  const finished spawned = run(under({}, train("spawn") + command{"--on", "spawn://2"}));
  REQUIRE_MESSAGE(spawned.code == 0, spawned.err);
  const dtask::bytes expected = dtask::read_file(files.file("spawn"));
  REQUIRE(expected.size() > 1000);
  const auto same = [&](const std::string& name, const command& how) {
    CAPTURE(name);
    const finished f = run(how);
    CHECK_MESSAGE(f.code == 0, f.err);
    if (f.code == 0) CHECK(dtask::read_file(files.file(name)) == expected);
  };
  if (const auto start = mpirun(2)) same("mpirun", *start + train("mpirun"));
  if (const auto start = torchrun(2)) same("torchrun", *start + train("torchrun"));
  if (const auto site = slurm::start()) {
    same("srun", site->srun(2) + train("srun"));
    std::string line = "srun --ntasks=2 --overcommit";
    for (const std::string& word : train("sbatch")) line += " '" + word + "'";
    std::ofstream(site->file("train.sh")) << "#!/bin/sh\n" << line << "\n";
    same("sbatch", site->sbatch(2, site->file("train.sh"), site->file("train.out")));
  }
  // And without any: variables by hand.
  const command where{"DTASK_WORLD=2", "DTASK_COORDINATOR=127.0.0.1:" + free_port()};
  process second(under(where + command{"DTASK_RANK=1"}, train("none")));
  same("hand", under(where + command{"DTASK_RANK=0"}, train("hand")));
  const auto end = second.wait();
  REQUIRE_MESSAGE(end, second.report());
  CHECK(end->code == 0);
}
#endif
