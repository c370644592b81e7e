// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/job_state.hpp"

#include <doctest/doctest.h>

#include <string>

TEST_CASE("job_state: the words are the names") {
  using enum dtask::job_state;
  std::string words;
  for (const dtask::job_state s : {unsent, queued, assigned, running, finished})
    words += std::string(to_string(s)) + " ";
  CHECK(words == "unsent queued assigned running finished ");
  CHECK(to_string(static_cast<dtask::job_state>(5)) == "unknown");
}
