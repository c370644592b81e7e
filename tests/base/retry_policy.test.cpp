#include "dtask/base/retry_policy.hpp"

#include <doctest/doctest.h>

#include "dtask/base/effect.hpp"

using namespace std::chrono_literals;

TEST_CASE("retry_policy: the pause doubles up to its end") {
  const dtask::retry_policy p{.retries = 9, .backoff = 50ms, .max_backoff = 300ms};
  CHECK(p.pause_before(2) == 50ms);
  CHECK(p.pause_before(3) == 100ms);
  CHECK(p.pause_before(4) == 200ms);
  CHECK(p.pause_before(5) == 300ms);
  CHECK(p.pause_before(4000000000u) == 300ms);
}

TEST_CASE("effect: only at_most_once may not run again") {
  CHECK(!dtask::may_run_again(dtask::effect::at_most_once));
  CHECK(dtask::may_run_again(dtask::effect::idempotent));
  CHECK(dtask::may_run_again(dtask::effect::pure));
  CHECK(dtask::to_string(dtask::effect::idempotent) == "idempotent");
}
