// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/delivery.hpp"

#include <doctest/doctest.h>

#include "control/deciders.hpp"

using deciding::deciders;
using deciding::text;
using namespace dtask;
using namespace dtask::control;

namespace {

wire::done done(deciders& d, std::uint32_t j, std::string value) {
  wire::done m;
  m.job = d.tables.jobs.id(j);
  m.fence = d.tables.jobs[j].fence;
  m.value.whole = text(std::move(value));
  return m;
}

}  // namespace

TEST_CASE("delivery: a result is kept until its client has it") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  CHECK(d.deliver.place_of(j) == "host/w#1, attempt 1");
  d.sent(c);
  d.lifecycle.done(w, done(d, j, "value"), d.now);
  const auto first = d.sent<wire::result>(c);
  REQUIRE(first.size() == 1);
  CHECK(first[0].value.whole.body.view() == "value");
  CHECK(first[0].worker == "host/w#1");
  CHECK(d.tables.sessions.result_bytes() == 5);

  SUBCASE("again, word for word, after its session has lost the link") {
    d.members.closed(1, error(errc::io_error, "reset"), d.now);
    d.deliver.send_result(j);
    CHECK(d.check() == "");
    peer& back = d.stranger(5);
    wire::hello m = deciders::hello(wire::role::client);
    const std::uint32_t s = d.tables.jobs[j].session;
    m.session = d.tables.sessions.id(s);
    m.key = d.tables.sessions[s].key;
    m.epoch = 9;
    d.members.hello(back, std::move(m), false, d.now);
    const auto again = d.sent<wire::result>(back);
    REQUIRE(again.size() == 1);
    CHECK(again[0].value.whole.body.view() == "value");
    CHECK(again[0].call == first[0].call);
  }
  SUBCASE("released, nothing of it is left") {
    d.deliver.release(j);
    CHECK(d.tables.jobs.size() == 0);
    CHECK(d.tables.sessions.result_bytes() == 0);
    CHECK(d.tables.sessions.held_bytes() == 0);
  }
  CHECK(d.check() == "");
}

TEST_CASE("delivery: a finished job's record stays while its attempt holds a slot") {
  deciders d;
  peer& c = d.client(1);
  d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  d.lifecycle.finish(j, {.code = errc::deadline_exceeded, .message = "late"});
  d.deliver.release(j);
  CHECK(d.tables.jobs.size() == 1);
  d.tables.workers.end_attempt(j);
  d.deliver.reclaim(j);
  CHECK(d.tables.jobs.size() == 0);
}

TEST_CASE("delivery: states go to clients that watch") {
  deciders d;
  peer& c = d.client(1);
  wire::submit watched = deciders::call(0), other = deciders::call(1);
  watched.watch = true;
  const std::uint32_t j = d.submit(c, std::move(watched)), k = d.submit(c, std::move(other));
  d.sent(c);
  d.deliver.report(j, wire::job_state::assigned);
  d.deliver.report(k, wire::job_state::assigned);
  const auto states = d.sent<wire::state>(c);
  REQUIRE(states.size() == 1);
  CHECK(states[0].call == 0);
  CHECK(states[0].attempt == 1);
}

TEST_CASE("delivery: bytes that went on to the client are the worker's to send again") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint32_t j = d.submit(c, deciders::call(0));
  d.place.place(d.now);
  wire::done m = done(d, j, "");
  m.value = {};
  m.value.transfer = 3;
  m.value.lengths = {0, 100};
  d.lifecycle.done(w, std::move(m), d.now);
  wire::chunk piece;
  piece.transfer = 3;
  piece.data = bytes::from(std::string(60, 'x'));
  CHECK(d.receive.chunk(w, std::move(piece), d.now) == "");
  const std::uint64_t id = d.tables.jobs.id(j);
  d.deliver.passed_on(id, 40);
  CHECK(d.tables.workers[w.index].owed_credit == 40);
  d.deliver.passed_on(id, 40);  // no more than it has sent
  CHECK(d.tables.workers[w.index].owed_credit == 60);
  d.deliver.passed_on(id + 1, 40);
  CHECK(d.tables.workers[w.index].owed_credit == 60);

  SUBCASE("an answer that does not come is dropped, another attempt's is not") {
    incoming foreign;
    foreign.what = payload_of::result;
    foreign.job = id;
    foreign.from = make_stream(std::vector<std::uint64_t>{5});
    CHECK(!d.deliver.drop_arriving(foreign));
    CHECK(d.tables.jobs[j].rarely->answer != nullptr);
    CHECK(d.deliver.drop_arriving(*w.in.begin()));
    CHECK(d.tables.jobs[j].rarely->answer == nullptr);
  }
}
