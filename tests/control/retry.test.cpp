// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/retry.hpp"

#include <doctest/doctest.h>

#include "dtask/control/backoff.hpp"
#include "dtask/control/speed.hpp"

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

TEST_CASE("what is tried again: by the class of the error, the effect class and the budget") {
  CHECK(may_retry(errc::worker_lost, effect::pure, 3, false, 1));
  CHECK(may_retry(errc::worker_lost, effect::idempotent, 3, false, 3));
  CHECK(!may_retry(errc::worker_lost, effect::pure, 3, false, 4));
  CHECK(!may_retry(errc::worker_lost, effect::pure, 0, false, 1));
  CHECK(!may_retry(errc::worker_lost, effect::at_most_once, 3, false, 1));
  CHECK(!may_retry(errc::job_failed, effect::pure, 3, false, 1));
  CHECK(may_retry(errc::job_failed, effect::pure, 3, true, 1));
  CHECK(!may_retry(errc::job_failed, effect::at_most_once, 3, true, 1));
  for (const errc never_again : {errc::cancelled, errc::deadline_exceeded, errc::encode_failed, errc::decode_failed,
                                 errc::too_large, errc::schema_mismatch, errc::job_abandoned, errc::quarantined})
    CHECK(!may_retry(never_again, effect::pure, 3, true, 1));
}

TEST_CASE("a packed policy says the same") {
  const retry_policy p{.retries = 7, .backoff = 50ms, .max_backoff = 5s, .on_exception = true};
  const retry_policy q = packed_retry(p).unpacked();
  CHECK(q.retries == 7);
  CHECK(q.backoff == 50ms);
  CHECK(q.max_backoff == 5s);
  CHECK(q.on_exception);
  CHECK(packed_retry({.retries = 1u << 30, .backoff = -1s}).unpacked().retries == 0xffff);
  CHECK(packed_retry({.retries = 1, .backoff = -1s}).unpacked().backoff == 0s);
}

TEST_CASE("pauses between dials: none, then doubling up to a limit, spread by a quarter") {
  random_sequence random(1);
  backoff b(50ms, 1s);
  CHECK(b.next(random) == 0s);
  duration full = 50ms;
  for (int i = 0; i < 8; ++i) {
    const duration p = b.next(random);
    CHECK(p <= full);
    CHECK(p >= full * 3 / 4);
    full = std::min<duration>(full * 2, 1s);
  }
  b.reset();
  CHECK(b.next(random) == 0s);
}

TEST_CASE("a worker's speed: jobs in a stretch of time") {
  time_point now{1h};
  speed s;
  s.begin(now);
  CHECK(s.within(5ms) == 0);
  for (int i = 0; i < 20000; ++i) {
    now += 20us;
    s.done(now);
  }
  CHECK(s.within(5ms) >= 240);
  CHECK(s.within(5ms) <= 260);
  for (int i = 0; i < 20; ++i) {
    now += 1s;
    s.done(now);
  }
  CHECK(s.within(5ms) == 0);
}
