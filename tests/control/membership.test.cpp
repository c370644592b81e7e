// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/membership.hpp"

#include <doctest/doctest.h>

#include "control/deciders.hpp"

using deciding::deciders;
using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

TEST_CASE("membership: who is not let in is told why") {
  control::coordinator_options o;
  o.cookie = 5;
  deciders d(o);
  peer& p = d.stranger(1);
  wire::hello m = deciders::hello(wire::role::client);
  bool draining = false;
  std::string expected;
  errc code = errc::refused;
  SUBCASE("another version") {
    m.version_min = m.version_max = wire::protocol_version + 1;
    code = errc::version_mismatch;
    expected = "speaks protocol version";
  }
  SUBCASE("no cookie") { expected = "does not carry the cookie"; }
  SUBCASE("the coordinator ends") {
    m.cookie = 5;
    draining = true;
    code = errc::closed;
    expected = "shutting down";
  }
  d.members.hello(p, std::move(m), draining, d.now);
  CHECK(p.role == peer_role::closing);
  const auto refusals = d.sent<wire::refuse>(p);
  REQUIRE(refusals.size() == 1);
  CHECK(refusals[0].code == code);
  CHECK(refusals[0].text.find(expected) != std::string::npos);
  CHECK(d.tables.sessions.size() == 0);
}

TEST_CASE("membership: a client that leaves takes its jobs along, one whose link breaks does not") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  d.submit(c, deciders::call(0));
  SUBCASE("goodbye") {
    const std::uint64_t session = d.tables.sessions.id(c.index);
    d.sent(w);
    d.members.goodbye(c, {}, d.now);
    CHECK(d.tables.jobs.open() == 0);
    CHECK(d.tables.sessions.size() == 0);
    const auto ends = d.sent<wire::end_session>(w);
    REQUIRE(ends.size() == 1);
    CHECK(ends[0].session == session);
    CHECK(d.tables.workers[w.index].ended == std::vector<std::uint64_t>{session});
    d.members.pong(w, wire::pong{1});
    CHECK(d.tables.workers[w.index].ended.empty());
  }
  SUBCASE("broken, within its grace and after it") {
    d.members.closed(1, error(errc::io_error, "reset"), d.now);
    CHECK(d.tables.jobs.open() == 1);
    d.members.heard(w, d.now + d.tables.options.session_grace);
    d.members.tick(d.now + d.tables.options.session_grace);
    CHECK(d.tables.jobs.open() == 0);
    CHECK(d.tables.sessions.size() == 0);
  }
  CHECK(d.check() == "");
}

TEST_CASE("membership: what a worker may not say ends it, and its jobs are placed again") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  REQUIRE(d.tables.jobs[j].attempt_live);
  d.members.violation(w, "nonsense");
  CHECK(w.role == peer_role::closing);
  CHECK(d.tables.jobs[j].phase == job_phase::queued);
  CHECK(d.tables.jobs[j].deaths == 0);
  CHECK(d.check() == "");
}

TEST_CASE("membership: the end of a process waits for what its link still brings, and no longer than that") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.stranger(2);
  wire::hello m = deciders::hello(wire::role::worker);
  m.pid = 77;
  d.members.hello(w, std::move(m), false, d.now);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  d.members.process_ended(77, "killed by signal 9", d.now);
  CHECK(d.tables.jobs[j].attempt_live);
  d.lifecycle.started(w, wire::started{d.tables.jobs.id(j), d.tables.jobs[j].fence});
  SUBCASE("the link ends") { d.members.closed(2, error(errc::io_error, "reset"), d.now); }
  SUBCASE("it does not") {
    CHECK(d.members.next_time() <= d.now + last_words_within);
    d.members.tick(d.now + last_words_within);
  }
  CHECK(!d.tables.jobs[j].attempt_live);
  CHECK(d.tables.jobs[j].deaths == 1);
  CHECK(d.tables.jobs[j].rarely->history == "host/w#1: killed by signal 9");
  CHECK(d.tables.workers.process_end() == "killed by signal 9");
  d.worker(3);
  CHECK(d.tables.workers.process_end() == "");
  CHECK(d.check() == "");
}

TEST_CASE("membership: a worker that drains gets nothing more, and one that is silent is lost") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  d.members.drain(w, d.now);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::queued);
  CHECK(d.tables.jobs[j].wake != never);  // nobody else runs its type
  d.members.heard(c, d.now + d.tables.options.lost_after);
  d.members.tick(d.now + d.tables.options.lost_after);
  CHECK(w.role == peer_role::closing);
  CHECK(d.tables.workers.size() == 0);
  CHECK(d.check() == "");
}
