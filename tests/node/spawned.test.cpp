// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/spawned.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstdlib>
#include <string>

#include "dtask/job/job.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/task/sync_wait.hpp"

namespace {
int one() { return 1; }
using one_job = dtask::function_job<"one/1", &one, dtask::pure>;
using jobs = dtask::registry<one_job>;
}  // namespace

TEST_CASE("spawned: told once, taken out of the environment") {
  ::unsetenv(dtask::spawned_variable);
  CHECK_FALSE(dtask::take_spawned());
  ::setenv(dtask::spawned_variable, "1", 1);
  CHECK(dtask::take_spawned());
  CHECK(std::getenv(dtask::spawned_variable) == nullptr);
  CHECK_FALSE(dtask::take_spawned());
}

TEST_CASE("spawned: what was started to be a worker and did not become one starts no processes") {
  ::setenv(dtask::spawned_variable, "1", 1);
  dtask::cluster_options options;
  options.command = "/no/such/program";
  const auto code = [&options](const char* url) {
    try {
      auto c = dtask::sync_wait(dtask::cluster::connect<jobs>(url, options));
      dtask::sync_wait(c.close());
    } catch (const dtask::error& e) {
      CAPTURE(e.what());
      CHECK((e.code() != dtask::errc::invalid_argument || e.remedy().find("dtask::worker_role") != std::string::npos));
      return e.code();
    }
    return dtask::errc::ok;
  };
  CHECK(code("spawn://1") == dtask::errc::invalid_argument);
  // These start none.
  CHECK(code("local://1") == dtask::errc::ok);
  CHECK(dtask::take_spawned());
  CHECK(code("spawn://1") == dtask::errc::io_error);
}
