// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/worker_exit.hpp"

#include <doctest/doctest.h>

#include <string>

TEST_CASE("exit_reason: the words are the names") {
  using enum dtask::exit_reason;
  std::string words;
  for (const dtask::exit_reason r : {drained, stopped, refused, unreachable, no_slots})
    words += std::string(to_string(r)) + " ";
  CHECK(words == "drained stopped refused unreachable no_slots ");
  CHECK(to_string(static_cast<dtask::exit_reason>(5)) == "unknown");
}
