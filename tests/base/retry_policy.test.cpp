// SPDX-License-Identifier: BSL-1.0
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

TEST_CASE("retry_policy: the doubling ends before it overflows") {
  const dtask::retry_policy endless{.backoff = 1h, .max_backoff = dtask::duration::max()};
  CHECK(endless.pause_before(3) == 2h);
  CHECK(endless.pause_before(40) == dtask::duration::max());
  CHECK(endless.pause_before(4000000000u) == dtask::duration::max());
  const dtask::retry_policy odd{.backoff = 3ns, .max_backoff = 7ns};
  CHECK(odd.pause_before(3) == 6ns);
  CHECK(odd.pause_before(4) == 7ns);
  static_assert(dtask::retry_policy{.backoff = 1h, .max_backoff = dtask::duration::max()}.pause_before(99) ==
                dtask::duration::max());
  const dtask::retry_policy at_once{.backoff = 0ns};
  CHECK(at_once.pause_before(4000000000u) == 0ns);
}

TEST_CASE("effect: only at_most_once may not run again") {
  CHECK(!dtask::may_run_again(dtask::effect::at_most_once));
  CHECK(dtask::may_run_again(dtask::effect::idempotent));
  CHECK(dtask::may_run_again(dtask::effect::pure));
  CHECK(dtask::to_string(dtask::effect::idempotent) == "idempotent");
}
