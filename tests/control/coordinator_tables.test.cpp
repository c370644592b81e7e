// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/coordinator_tables.hpp"

#include <doctest/doctest.h>

#include "control/deciders.hpp"

using deciding::deciders;
using namespace dtask;
using namespace dtask::control;

TEST_CASE("coordinator_tables: ids of another epoch name nothing") {
  coordinator_tables a({}, std::uint64_t{1} << 40, {}), b({}, std::uint64_t{2} << 40, {});
  const std::uint64_t id = a.jobs.id(a.jobs.insert());
  b.jobs.insert();
  CHECK(a.jobs.find(id) != none);
  CHECK(b.jobs.find(id) == none);
}

TEST_CASE("coordinator_tables: check finds what lies between tables") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  CHECK(d.check() == "");
  d.place.place(d.now);
  CHECK(d.check() == "");

  SUBCASE("a result that does not come") {
    d.tables.jobs[j].rare().answer = make_stream(std::vector<std::uint64_t>{4});
    CHECK(d.check().find("a job waits for a result that does not come") == 0);
  }
  SUBCASE("something is sent to a worker that has no use for it") {
    w.out.push(wire::run{}, make_stream(std::vector<std::uint64_t>{1 << 20}), d.tables.jobs.id(j) + 1);
    CHECK(d.check().find("something is still being sent to host/w") == 0);
  }
  SUBCASE("bytes of broadcasts that nobody sends") {
    d.tables.sessions.reserve_broadcast(10);
    CHECK(d.tables.check(true) != "");
    CHECK(d.tables.check(false) == "");
  }
}
