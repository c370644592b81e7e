// SPDX-License-Identifier: BSL-1.0
#include "dtask/process/launcher_variables.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "dtask/process/cookie.hpp"

TEST_CASE("launcher_variables: each once, and in letters that a shell takes") {
  const std::set<std::string_view> all(dtask::launcher_variables.begin(), dtask::launcher_variables.end());
  CHECK(all.size() == dtask::launcher_variables.size());
  for (const std::string_view name : all) {
    CAPTURE(std::string(name));
    CHECK(name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string_view::npos);
    CHECK_FALSE(name.empty());
  }
}

TEST_CASE("launcher_variables: what makes a rank is among them, what a job may ask for is not") {
  const auto listed = [](std::string_view name) {
    return std::find(dtask::launcher_variables.begin(), dtask::launcher_variables.end(), name) !=
           dtask::launcher_variables.end();
  };
  for (const char* name : {"DTASK_RANK", "RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID",
                           "SLURM_STEP_NUM_TASKS", "JOB_COMPLETION_INDEX"}) {
    CAPTURE(name);
    CHECK(listed(name));
  }
  // The allocation, and what spawn:// gives its processes.
  for (const char* name : {"SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "CUDA_VISIBLE_DEVICES", "PATH", "HOME"}) {
    CAPTURE(name);
    CHECK_FALSE(listed(name));
  }
  CHECK_FALSE(listed(dtask::cookie_variable));
}
