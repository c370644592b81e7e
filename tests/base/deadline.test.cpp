// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/deadline.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;

TEST_CASE("deadline: an instant after now, saturating at never") {
  const dtask::time_point now{100s};
  CHECK(dtask::deadline_after(now, 5s) == dtask::time_point{105s});
  CHECK(dtask::deadline_after(now, dtask::no_deadline) == dtask::never);
  CHECK(dtask::deadline_after(now, dtask::no_deadline - 1ns) == dtask::never);
}

TEST_CASE("deadline: what is left is never negative") {
  const dtask::time_point now{100s};
  CHECK(dtask::remaining(now + 3s, now) == 3s);
  CHECK(dtask::remaining(now - 3s, now) == 0s);
  CHECK(dtask::remaining(dtask::never, now) == dtask::no_deadline);
}
