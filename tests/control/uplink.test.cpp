// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/uplink.hpp"

#include <doctest/doctest.h>

using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

namespace {

using phase = uplink::phase;
using need = uplink::need;
const time_point t0{1h};

wire::welcome welcome(duration heartbeat = 1s, duration lost_after = 5s) {
  wire::welcome w;
  w.heartbeat = heartbeat;
  w.lost_after = lost_after;
  return w;
}
uplink ready(const wire::welcome& w = welcome()) {
  uplink up(100ms, 1s, 5s, 1);
  up.start(t0);
  CHECK(up.due(t0) == need::dial);
  up.connected(7, t0);
  up.welcomed(w, t0);
  return up;
}

}  // namespace

TEST_CASE("uplink: dials at once, greets, is ready, and knows its link") {
  uplink up(100ms, 1s, 5s, 1);
  CHECK(up.now() == phase::idle);
  CHECK(up.next() == never);
  CHECK(up.due(t0) == need::nothing);
  up.start(t0);
  CHECK(up.away_since() == t0);
  CHECK(up.next() == t0);
  CHECK(up.due(t0) == need::dial);
  CHECK(up.now() == phase::dialing);
  // One dial at a time.
  CHECK(up.due(t0 + 1h) == need::nothing);
  CHECK(up.next() == never);
  up.connected(7, t0 + 1s);
  CHECK(up.now() == phase::greeting);
  CHECK(up.is(7));
  CHECK_FALSE(up.is(8));
  CHECK_FALSE(up.is(0));
  CHECK_FALSE(up.ready());
  up.welcomed(welcome(), t0 + 2s);
  CHECK(up.ready());
  CHECK(up.next() == t0 + 3s);
}

TEST_CASE("uplink: a coordinator that does not answer the hello is given up") {
  uplink up(100ms, 1s, 5s, 1);
  up.start(t0);
  CHECK(up.due(t0) == need::dial);
  up.connected(7, t0);
  CHECK(up.next() == t0 + 5s);
  CHECK(up.due(t0 + 4999ms) == need::nothing);
  CHECK(up.due(t0 + 5s) == need::give_up_link);
}

TEST_CASE("uplink: pings at each heartbeat, and gives a silent link up") {
  uplink up = ready();
  CHECK(up.due(t0 + 999ms) == need::nothing);
  CHECK(up.due(t0 + 1s) == need::ping);
  CHECK(up.due(t0 + 1s) == need::nothing);
  CHECK(up.next() == t0 + 2s);
  up.heard(t0 + 1500ms);
  CHECK(up.due(t0 + 6499ms) == need::ping);
  CHECK(up.next() == t0 + 6500ms);
  CHECK(up.due(t0 + 6500ms) == need::give_up_link);
}

TEST_CASE("uplink: a coordinator that names no times, or absurd ones, does not stop the heart") {
  uplink none = ready(welcome(0s, 0s));
  CHECK(none.next() == t0 + 1ms);
  CHECK(none.due(t0 + 2ms) == need::give_up_link);
  uplink absurd = ready(welcome(1000h, 0s));
  CHECK(absurd.next() == t0 + 1min);
  CHECK(absurd.due(t0 + 1min) == need::ping);
  absurd.heard(t0);
  CHECK(absurd.due(t0 + 2min) == need::give_up_link);
}

TEST_CASE("uplink: the first dial after a link that lasted comes at once; links that die young pause longer") {
  uplink up = ready();
  up.broken(t0 + 10s);
  CHECK(up.away_since() == t0 + 10s);
  CHECK(up.link() == 0);
  CHECK(up.next() == t0 + 10s);
  // Each welcomed, and gone within a heartbeat: one more pause that doubles.
  time_point now = t0 + 10s;
  for (const duration whole : {100ms, 200ms, 400ms}) {
    CHECK(up.due(now) == need::dial);
    up.connected(8, now);
    up.welcomed(welcome(), now);
    up.broken(now);
    CHECK(up.next() <= now + whole);
    CHECK(up.next() >= now + whole * 3 / 4);
    now = up.next();
  }
  // One that lasts makes up for them.
  CHECK(up.due(now) == need::dial);
  up.connected(9, now);
  up.welcomed(welcome(), now);
  now += 1s;
  up.broken(now);
  CHECK(up.next() == now);
}

TEST_CASE("uplink: dials that come to nothing pause longer, and the time away counts from the last welcome") {
  uplink up = ready();
  up.broken(t0 + 3s);
  time_point now = t0 + 3s;
  CHECK(up.due(now) == need::dial);
  up.broken(now);
  CHECK(up.next() == now);  // the first of its kind
  for (const duration whole : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    CHECK(up.due(now) == need::dial);
    up.broken(now);
    CHECK(up.next() >= now + whole * 3 / 4);
    CHECK(up.next() <= now + whole);
    now = up.next();
  }
  CHECK(up.away_since() == t0 + 3s);
}

TEST_CASE("uplink: ended is ended") {
  uplink up = ready();
  up.end();
  CHECK(up.now() == phase::ended);
  CHECK_FALSE(up.is(7));
  up.broken(t0 + 1s);
  CHECK(up.now() == phase::ended);
  CHECK(up.due(t0 + 1h) == need::nothing);
  CHECK(up.next() == never);
}

TEST_CASE("uplink: which answers are final") {
  uplink fresh(100ms, 1s, 5s, 1);
  for (const errc code : {errc::refused, errc::version_mismatch, errc::schema_mismatch})
    CHECK(fresh.refused_for_good(code));
  for (const errc code : {errc::unreachable, errc::io_error, errc::closed}) CHECK_FALSE(fresh.refused_for_good(code));
  // Never welcomed: what listens there speaks another language.
  CHECK(fresh.refused_for_good(errc::protocol_error));
  // Welcomed before: the first time may be that link's fault, the second in a row is not.
  uplink up = ready();
  CHECK_FALSE(up.refused_for_good(errc::protocol_error));
  CHECK(up.refused_for_good(errc::protocol_error));
  // A link that has lasted for a heartbeat in between begins the count anew.
  CHECK(up.due(t0 + 1s) == need::ping);
  CHECK_FALSE(up.refused_for_good(errc::protocol_error));
}

TEST_CASE("uplink: what says that there is no coordinator") {
  for (const errc code : {errc::version_mismatch, errc::protocol_error, errc::too_large})
    CHECK(is_no_coordinator(code));
  for (const errc code : {errc::refused, errc::closed, errc::unreachable}) CHECK_FALSE(is_no_coordinator(code));
}
