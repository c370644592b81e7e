// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/lease.hpp"

#include <doctest/doctest.h>

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

TEST_CASE("a lease: up, suspect after 3 s of silence, lost after 5 s") {
  const control::coordinator_options o;
  const time_point t0{1h};
  lease l;
  l.attach(t0);
  CHECK(!l.advance(t0 + 2999ms, o));
  CHECK(l.due(o) == t0 + 3s);
  CHECK(l.advance(t0 + 3s, o));
  CHECK(l.state == lease_state::suspect);
  CHECK(l.due(o) == t0 + 5s);
  SUBCASE("heard again") {
    l.hear(t0 + 4s);
    CHECK(l.state == lease_state::up);
    CHECK(l.due(o) == t0 + 7s);
  }
  SUBCASE("silent on") {
    CHECK(l.advance(t0 + 5s, o));
    CHECK(l.state == lease_state::lost);
    l.hear(t0 + 6s);
    CHECK(l.state == lease_state::lost);
  }
}

TEST_CASE("a lease without a link lasts a second, and never longer than the silence allows") {
  const control::coordinator_options o;
  const time_point t0{1h};
  lease l;
  l.attach(t0);
  SUBCASE("just heard") {
    l.detach(t0 + 100ms);
    CHECK(l.due(o) == t0 + 1100ms);
    CHECK(!l.advance(t0 + 1s, o));
    l.attach(t0 + 1s);
    CHECK(l.state == lease_state::up);
  }
  SUBCASE("silent for long before") {
    l.detach(t0 + 4500ms);
    CHECK(l.due(o) == t0 + 5s);
  }
  SUBCASE("away for too long") {
    l.detach(t0);
    CHECK(l.advance(t0 + 1s, o));
    CHECK(l.state == lease_state::lost);
  }
}
