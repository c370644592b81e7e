// SPDX-License-Identifier: BSL-1.0
#include "dtask/process/spawned.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstdlib>

TEST_CASE("spawned: told once, taken out of the environment") {
  ::unsetenv(dtask::spawned_variable);
  CHECK_FALSE(dtask::take_spawned());
  ::setenv(dtask::spawned_variable, "1", 1);
  CHECK(dtask::take_spawned());
  CHECK(std::getenv(dtask::spawned_variable) == nullptr);
  CHECK_FALSE(dtask::take_spawned());
}
