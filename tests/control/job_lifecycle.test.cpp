// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/job_lifecycle.hpp"

#include <doctest/doctest.h>

#include "control/deciders.hpp"

using deciding::deciders;
using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

namespace {

errc only_answer(deciders& d, const peer& c) {
  const auto all = d.sent<wire::result>(c);
  REQUIRE(all.size() == 1);
  return all[0].why.code;
}

}  // namespace

TEST_CASE("job_lifecycle: what a client may not submit is said in words") {
  deciders d;
  peer& c = d.client(1);
  wire::submit strange = deciders::call(0);
  strange.job = 1;
  CHECK(d.lifecycle.submitted(c, std::move(strange), false, d.now) == "a submit of a job that its hello does not name");
  REQUIRE(d.submit(c, deciders::call(0)) != none);
  CHECK(d.lifecycle.submitted(c, deciders::call(0), false, d.now) == "");  // sent again
  CHECK(d.tables.jobs.size() == 1);
  CHECK(d.lifecycle.submitted(c, deciders::call(std::uint64_t{1} << 32), false, d.now) ==
        "a new call in the place of one that is open");
}

TEST_CASE("job_lifecycle: a full queue is overloaded, what never fits is too large, and both give the credit back") {
  control::coordinator_options o;
  o.session_bytes = 2 * job_cost + 100;
  deciders d(o);
  peer& c = d.client(1);
  REQUIRE(d.submit(c, deciders::call(0, std::string(100, 'a'))) != none);
  d.sent(c);
  CHECK(d.submit(c, deciders::call(1, std::string(1, 'a'))) == none);
  CHECK(only_answer(d, c) == errc::overloaded);
  CHECK(d.tables.sessions[c.index].owed_credit == job_cost + 1);
  CHECK(d.submit(c, deciders::call(2, std::string(job_cost + 101, 'a'))) == none);
  CHECK(only_answer(d, c) == errc::too_large);
  CHECK(d.tables.sessions[c.index].owed_credit == 2 * job_cost + 1 + 101 + job_cost);
  CHECK(d.check() == "");
}

TEST_CASE("job_lifecycle: while the coordinator drains, calls wait for its end, as many as their client may hold") {
  control::coordinator_options o;
  o.session_bytes = 3 * job_cost;
  deciders d(o);
  peer& c = d.client(1);
  const auto late = [&](std::uint64_t number) {
    CHECK(d.lifecycle.submitted(c, deciders::call(number), true, d.now) == "");
  };
  REQUIRE(d.submit(c, deciders::call(0)) != none);
  d.sent(c);
  late(1);
  CHECK(d.sent(c).empty());
  late(2);
  CHECK(only_answer(d, c) == errc::overloaded);
  CHECK(d.tables.sessions[c.index].turned_away == std::vector<std::uint64_t>{1});

  SUBCASE("cancelled, it waits no more") {
    d.lifecycle.cancelled(c, wire::cancel{1});
    CHECK(only_answer(d, c) == errc::cancelled);
    late(3);
    CHECK(d.sent(c).empty());
  }
  SUBCASE("at the end all that nobody began is given back") {
    d.lifecycle.give_back(c);
    const auto all = d.sent<wire::result>(c);
    REQUIRE(all.size() == 2);
    for (const wire::result& r : all) CHECK(r.why.code == errc::closed);
    CHECK(d.tables.sessions[c.index].turned_away.empty());
  }
}

TEST_CASE("job_lifecycle: what was begun is not given back") {
  deciders d;
  peer& c = d.client(1);
  d.worker(2);
  d.submit(c, deciders::call(0, "a", effect::at_most_once));
  d.submit(c, deciders::call(1, "a", effect::at_most_once));  // goes to a free slot only
  d.place.place(d.now);
  d.sent(c);
  d.lifecycle.give_back(c);
  const auto all = d.sent<wire::result>(c);
  REQUIRE(all.size() == 1);
  CHECK(all[0].call == 1);
  CHECK(all[0].why.code == errc::closed);
}

TEST_CASE("job_lifecycle: a cancelled job ends at once where it waits, else with its attempt") {
  deciders d;
  peer& c = d.client(1);
  const std::uint32_t waiting = d.submit(c, deciders::call(0));
  d.sent(c);
  d.lifecycle.cancelled(c, wire::cancel{0});
  CHECK(only_answer(d, c) == errc::cancelled);
  CHECK(d.tables.jobs[waiting].phase == job_phase::finished);

  peer& w = d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(1));
  d.place.place(d.now);
  const std::uint64_t id = d.tables.jobs.id(j);
  d.lifecycle.started(w, wire::started{id, d.tables.jobs[j].fence});
  d.sent(c);
  d.lifecycle.cancelled(c, wire::cancel{1});
  const auto stops = d.sent<wire::stop>(w);
  REQUIRE(stops.size() == 1);
  CHECK(stops[0].job == id);
  CHECK(d.tables.jobs[j].phase == job_phase::placed);
  wire::done end;
  end.job = id;
  end.fence = d.tables.jobs[j].fence;
  end.why.code = errc::cancelled;
  d.lifecycle.done(w, std::move(end), d.now);
  CHECK(only_answer(d, c) == errc::cancelled);
  CHECK(d.check() == "");
}

TEST_CASE("job_lifecycle: a lost attempt is placed again, or is the end, by the job's effect class") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  effect effect_class = effect::pure;
  SUBCASE("may run again") { effect_class = effect::idempotent; }
  SUBCASE("may not") { effect_class = effect::at_most_once; }
  const std::uint32_t j = d.submit(c, deciders::call(0, "a", effect_class));
  d.place.place(d.now);
  d.lifecycle.started(w, wire::started{d.tables.jobs.id(j), d.tables.jobs[j].fence});
  d.sent(c);
  d.lifecycle.lost_attempt(j, "host/w#1", "killed by signal 9", true, d.now);
  if (effect_class == effect::at_most_once) {
    CHECK(only_answer(d, c) == errc::worker_lost);
  } else {
    CHECK(d.tables.jobs[j].phase == job_phase::pausing);
    CHECK(d.tables.jobs[j].deaths == 1);
    CHECK(d.sent<wire::result>(c).empty());
    d.now = d.tables.jobs[j].wake;
    d.lifecycle.expired(j, d.now);
    CHECK(d.tables.jobs[j].phase == job_phase::queued);
  }
  CHECK(d.check() == "");
}

TEST_CASE("job_lifecycle: an old fence changes nothing but is acknowledged") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  const std::uint64_t id = d.tables.jobs.id(j);
  const std::uint32_t fence = d.tables.jobs[j].fence;
  d.lifecycle.started(w, wire::started{id, fence - 1});
  CHECK(!d.tables.jobs[j].started);
  d.lifecycle.returned(w, wire::returned{id, fence - 1}, d.now);
  CHECK(d.tables.jobs[j].attempt_live);
  wire::done old;
  old.job = id;
  old.fence = fence - 1;
  d.lifecycle.done(w, std::move(old), d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::placed);
  CHECK(w.acks == std::vector<std::uint64_t>{id});
  d.lifecycle.returned(w, wire::returned{id, fence}, d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::queued);
  CHECK(d.tables.jobs[j].attempts == 0);
}

TEST_CASE("job_lifecycle: a deadline ends a job wherever it is") {
  deciders d;
  peer& c = d.client(1);
  wire::submit m = deciders::call(0);
  m.remaining = 5s;
  const std::uint32_t j = d.submit(c, std::move(m));
  d.lifecycle.expired(j, d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::queued);
  d.sent(c);
  d.lifecycle.expired(j, d.now + 5s);
  CHECK(only_answer(d, c) == errc::deadline_exceeded);
  CHECK(d.check() == "");
}
