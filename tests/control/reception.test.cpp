// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/reception.hpp"

#include <doctest/doctest.h>

#include "control/deciders.hpp"

using deciding::deciders;
using namespace dtask;
using namespace dtask::control;

namespace {

wire::chunk piece(std::uint64_t transfer, std::uint64_t offset, std::string of) {
  wire::chunk m;
  m.transfer = transfer;
  m.offset = offset;
  m.data = bytes::from(std::move(of));
  return m;
}
wire::submit announced(std::uint64_t call, std::uint64_t transfer, std::vector<std::uint64_t> lengths) {
  wire::submit m = deciders::call(call);
  m.arguments.whole = {};
  m.arguments.transfer = transfer;
  m.arguments.lengths = std::move(lengths);
  return m;
}

}  // namespace

TEST_CASE("reception: arguments arrive piece by piece, and a wrong piece is said in words") {
  deciders d;
  peer& c = d.client(1);
  const std::uint32_t j = d.submit(c, announced(0, 7, {2, 3}));
  CHECK(d.receive.chunk(c, piece(7, 0, "ab"), d.now) == "");
  CHECK(c.in.size() == 1);
  SUBCASE("whole") {
    CHECK(d.receive.chunk(c, piece(7, 2, "cde"), d.now) == "");
    CHECK(c.in.size() == 0);
    CHECK(d.tables.jobs[j].held.size() == 5);
  }
  SUBCASE("out of order") { CHECK(d.receive.chunk(c, piece(7, 4, "e"), d.now) != ""); }
  SUBCASE("taken back: the job ends cancelled") {
    d.sent(c);
    d.receive.aborted(c, wire::abort_transfer{7, {}}, d.now);
    const auto answers = d.sent<wire::result>(c);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].why.code == errc::cancelled);
    CHECK(c.in.size() == 0);
  }
  CHECK(d.check() == "");
}

TEST_CASE("reception: pieces that nobody waits for are paid back") {
  deciders d;
  peer& w = d.worker(2);
  CHECK(d.receive.chunk(w, piece(99, 0, "abc"), d.now) == "");
  CHECK(d.tables.workers[w.index].owed_credit == 3);
  d.receive.aborted(w, wire::abort_transfer{99, {}}, d.now);
  CHECK(d.check() == "");
}

TEST_CASE("reception: a large result ends its job when it is whole, or the attempt when it is taken back") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  wire::done m;
  m.job = d.tables.jobs.id(j);
  m.fence = d.tables.jobs[j].fence;
  m.value.transfer = 5;
  m.value.lengths = {0, 4};
  d.lifecycle.done(w, std::move(m), d.now);
  CHECK(d.receive.chunk(w, piece(5, 0, "ab"), d.now) == "");
  SUBCASE("whole") {
    CHECK(d.receive.chunk(w, piece(5, 2, "cd"), d.now) == "");
    CHECK(d.tables.jobs[j].phase == job_phase::finished);
    CHECK(d.tables.sessions.result_bytes() == 4);
    CHECK(w.acks_due);
  }
  SUBCASE("taken back") {
    d.receive.aborted(w, wire::abort_transfer{5, {}}, d.now);
    CHECK(!d.tables.jobs[j].attempt_live);
    CHECK(d.tables.jobs[j].phase == job_phase::pausing);
    CHECK(d.tables.workers[w.index].owed_credit == 2);
  }
  SUBCASE("not wanted any more") {
    d.lifecycle.finish(j, {.code = errc::deadline_exceeded, .message = "late"});
    CHECK(d.receive.chunk(w, piece(5, 2, "cd"), d.now) == "");
    CHECK(!d.tables.jobs[j].attempt_live);
    CHECK(d.tables.workers[w.index].owed_credit == 4);
    CHECK(d.tables.sessions.result_bytes() == 0);
  }
  CHECK(d.check() == "");
}

TEST_CASE("reception: a value that its client takes back is no broadcast") {
  deciders d;
  peer& c = d.client(1);
  wire::broadcast m;
  m.number = 1;
  m.name = "weights";
  m.value.transfer = 3;
  m.value.lengths = {0, 8};
  CHECK(d.distribute.offered(c, std::move(m), d.now) == "");
  CHECK(d.tables.sessions.broadcast_bytes() == 8);
  d.sent(c);
  d.receive.aborted(c, wire::abort_transfer{3, {}}, d.now);
  const auto answers = d.sent<wire::broadcast_done>(c);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].why.code == errc::cancelled);
  CHECK(d.tables.sessions.broadcast_bytes() == 0);
  CHECK(d.tables.sessions[c.index].receiving == 0);
  CHECK(d.check() == "");
}
