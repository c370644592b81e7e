// SPDX-License-Identifier: BSL-1.0
// Under a real torchrun.
#include <doctest/doctest.h>

#include <string>

#include "launchers.hpp"

using namespace launchers;

TEST_CASE("torchrun: one program, one world") {
  const auto start = torchrun(2);
  if (!start) return;
  is_whole(run(*start + command{launched()}), 2);
  const finished failing = run(*torchrun(2) + command{launched(), "--do", "fail"});
  CHECK(failing.code != 0);
  CHECK(has(failing.err, "the body fails"));
}
