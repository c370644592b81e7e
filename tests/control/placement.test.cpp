// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/placement.hpp"

#include <doctest/doctest.h>

#include "control/deciders.hpp"

using deciding::deciders;
using namespace dtask;
using namespace dtask::control;
using namespace std::chrono_literals;

TEST_CASE("placement: the least loaded worker, and sessions take turns") {
  deciders d;
  peer& a = d.client(1);
  peer& b = d.client(2);
  peer& narrow = d.worker(3, 1);
  peer& wide = d.worker(4, 3);
  std::vector<std::uint32_t> of_a, of_b;
  for (std::uint64_t i = 0; i < 4; ++i) of_a.push_back(d.submit(a, deciders::call(i, "a", effect::at_most_once)));
  for (std::uint64_t i = 0; i < 4; ++i) of_b.push_back(d.submit(b, deciders::call(i, "b", effect::at_most_once)));
  d.place.place(d.now);
  const auto placed = [&](const std::vector<std::uint32_t>& jobs) {
    std::uint32_t n = 0;
    for (const std::uint32_t j : jobs) n += d.tables.jobs[j].phase == job_phase::placed;
    return n;
  };
  CHECK(placed(of_a) == 2);
  CHECK(placed(of_b) == 2);
  CHECK(d.tables.jobs[of_a[0]].phase == job_phase::placed);
  CHECK(d.tables.jobs[of_a[3]].phase == job_phase::queued);
  CHECK(d.tables.workers[narrow.index].jobs.size() == 1);
  CHECK(d.tables.workers[wide.index].jobs.size() == 3);
  CHECK(d.check() == "");
}

TEST_CASE("placement: nothing is placed while there is no room for results") {
  control::coordinator_options o;
  o.queue_bytes = 2000;
  deciders d(o);
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint32_t first = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  wire::done m;
  m.job = d.tables.jobs.id(first);
  m.fence = d.tables.jobs[first].fence;
  m.value.whole = deciding::text(std::string(2000, 'v'));
  d.lifecycle.done(w, std::move(m), d.now);
  const std::uint32_t second = d.submit(c, deciders::call(1));
  d.place.place(d.now);
  CHECK(d.tables.jobs[second].phase == job_phase::queued);
  d.lifecycle.acknowledged(c, wire::acknowledge{{0}});
  d.place.place(d.now);
  CHECK(d.tables.jobs[second].phase == job_phase::placed);
}

TEST_CASE("placement: arguments above a worker's own limits end the job, not the link") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.stranger(2);
  wire::hello m = deciders::hello(wire::role::worker);
  m.limits.payload = 4;
  d.members.hello(w, std::move(m), false, d.now);
  const std::uint32_t j = d.submit(c, deciders::call(0, "five!"));
  d.sent(c);
  d.place.place(d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::finished);
  const auto answers = d.sent<wire::result>(c);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].why.code == errc::too_large);
  CHECK(w.role == peer_role::worker);
  CHECK(d.check() == "");
}

TEST_CASE("placement: a job that outlived two workers gets one that is empty, and nothing beside it") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2, 2);
  const std::uint32_t other = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  const std::uint32_t j = d.submit(c, deciders::call(1));
  d.lifecycle.leave(j);
  d.tables.jobs[j].by_itself = true;
  d.lifecycle.enqueue(j, true, d.now);
  d.place.place(d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::alone);
  CHECK(d.tables.workers[w.index].reserved_for == j);
  CHECK(d.tables.jobs[other].recalled);
  d.lifecycle.returned(w, wire::returned{d.tables.jobs.id(other), d.tables.jobs[other].fence}, d.now);
  d.place.place(d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::placed);
  CHECK(d.tables.jobs[other].phase == job_phase::queued);
  CHECK(d.check() == "");
}

TEST_CASE("placement: of two types of one name, the one without workers is told why") {
  deciders d;
  peer& old = d.client(1, 1);
  const std::uint32_t j = d.submit(old, deciders::call(0));
  d.sent(old);
  d.worker(2, 1, 2);
  CHECK(d.tables.jobs[j].phase == job_phase::finished);
  // Said when the worker joined; asking again finds nobody who waits.
  d.place.type_without_workers(d.tables.sessions[old.index].types[0], d.now);
  CHECK(d.tables.jobs[j].rarely->why.code == errc::schema_mismatch);
  CHECK(d.tables.jobs[j].rarely->why.message ==
        "'job/1' is int(int)/1 in client host/c and int(int)/2 in worker host/w#1");
}

TEST_CASE(
    "placement: what a worker holds in advance comes back when another is idle, unless it will have begun it sooner") {
  deciders d;
  peer& c = d.client(1);
  peer& busy = d.worker(2, 1);
  d.submit(c, deciders::call(0));
  const std::uint32_t ahead = d.submit(c, deciders::call(1));
  d.place.place(d.now);
  REQUIRE(d.tables.workers[busy.index].backlog == 1);
  peer& idle = d.worker(3, 1);
  d.sent(busy);

  SUBCASE("of one whose speed is not known") {
    d.place.place(d.now);
    CHECK(d.place.next_time() == never);
    const auto recalls = d.sent<wire::recall>(busy);
    REQUIRE(recalls.size() == 1);
    CHECK(recalls[0].job == d.tables.jobs.id(ahead));
    d.place.place(d.now);
    CHECK(d.sent<wire::recall>(busy).empty());  // asked once
    d.lifecycle.returned(busy, wire::returned{recalls[0].job, recalls[0].fence}, d.now);
    d.place.place(d.now);
    CHECK(d.tables.jobs[ahead].worker == idle.index);
  }
  SUBCASE("of a quick one only after it had the time") {
    speed& pace = d.tables.workers[busy.index].pace;
    for (int i = 0; i < 1000; ++i) pace.done(d.now);
    d.now += 10ms;
    pace.done(d.now);
    d.place.place(d.now);
    CHECK(d.sent<wire::recall>(busy).empty());
    const time_point again = d.place.next_time();
    CHECK(again == d.now + d.tables.options.prefetch_time);
    d.place.tick(again);
    CHECK(d.place.next_time() == never);
    d.place.place(again);
    CHECK(d.sent<wire::recall>(busy).size() == 1);
  }
  CHECK(d.check() == "");
}

namespace {
/// A client with two types, and a worker of two slots for both.
struct two_types : deciders {
  peer* c = nullptr;
  peer* w = nullptr;
  std::uint64_t calls = 0;

  two_types() {
    c = &client_of(1);
    w = &stranger(2);
    wire::hello m = both(wire::role::worker);
    m.slots = 2;
    members.hello(*w, std::move(m), false, now);
  }
  static wire::hello both(wire::role role) {
    wire::hello m = hello(role);
    m.jobs.push_back({"job/2", 1, "int(int)/1"});
    return m;
  }
  peer& client_of(link_id link) {
    peer& p = stranger(link);
    members.hello(p, both(wire::role::client), false, now);
    return p;
  }
  std::uint32_t add(peer& from, std::uint32_t position, effect effect_class = effect::pure) {
    wire::submit m = call(calls++, "a", effect_class);
    m.job = position;
    return submit(from, std::move(m));
  }
  /// The oldest attempt at the worker ends, and what there is room for is placed.
  void one_ends() {
    const std::uint32_t j = tables.workers[w->index].jobs.front();
    wire::done m;
    m.job = tables.jobs.id(j);
    m.fence = tables.jobs[j].fence;
    lifecycle.done(*w, std::move(m), now);
    place.place(now);
  }
  job_phase phase(std::uint32_t j) const { return tables.jobs[j].phase; }
};
}  // namespace

TEST_CASE("placement: a call of one type waits for one job of the same client's endless map of another") {
  two_types d;
  for (int i = 0; i < 20; ++i) d.add(*d.c, 0);
  d.place.place(d.now);
  const std::uint32_t full = d.tables.workers[d.w->index].jobs.size();
  CHECK(full < 20);
  SUBCASE("one that may run again") {
    const std::uint32_t single = d.add(*d.c, 1);
    d.place.place(d.now);
    CHECK(d.phase(single) == job_phase::queued);
    d.one_ends();
    CHECK(d.phase(single) == job_phase::placed);
  }
  SUBCASE("and so does another client's") {
    const std::uint32_t first = d.add(*d.c, 1);
    peer& b = d.client_of(3);
    d.calls = 0;
    const std::uint32_t other = d.add(b, 1);
    d.one_ends();
    d.one_ends();
    CHECK(d.phase(first) == job_phase::placed);
    CHECK(d.phase(other) == job_phase::placed);
  }
  SUBCASE("one that may not: nothing is handed out in advance until it has its free slot") {
    const std::uint32_t single = d.add(*d.c, 1, effect::at_most_once);
    const std::uint32_t next = d.add(*d.c, 0);
    d.place.place(d.now);
    std::uint32_t ends = 0;
    for (; d.phase(single) == job_phase::queued && ends < full; ++ends) d.one_ends();
    CHECK(ends == full - 1);  // one of two slots is free
    CHECK(d.phase(single) == job_phase::placed);
    CHECK(d.phase(next) == job_phase::queued);
    CHECK(d.tables.workers[d.w->index].jobs.size() > 2);  // and then they are again
  }
  CHECK(d.check() == "");
}

TEST_CASE("placement: a job that waits for a free slot holds nothing back from workers that cannot run it") {
  two_types d;
  peer& w = d.worker(4, 2);  // for the first type alone
  std::vector<std::uint32_t> maps;
  for (int i = 0; i < 20; ++i) maps.push_back(d.add(*d.c, 0));
  d.place.place(d.now);
  const std::uint32_t there = d.tables.workers[w.index].jobs.size();
  const std::uint32_t single = d.add(*d.c, 1, effect::at_most_once);
  d.place.place(d.now);
  CHECK(d.phase(single) == job_phase::queued);
  d.one_ends();
  CHECK(d.phase(single) == job_phase::queued);
  wire::done m;
  const std::uint32_t j = d.tables.workers[w.index].jobs.front();
  m.job = d.tables.jobs.id(j);
  m.fence = d.tables.jobs[j].fence;
  d.lifecycle.done(w, std::move(m), d.now);
  d.place.place(d.now);
  CHECK(d.tables.workers[w.index].jobs.size() == there);
  CHECK(d.check() == "");
}
