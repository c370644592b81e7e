// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/distribution.hpp"

#include <doctest/doctest.h>

#include "control/deciders.hpp"

using deciding::deciders;
using deciding::text;
using namespace dtask;
using namespace dtask::control;

namespace {

wire::broadcast value(std::uint64_t number, std::string name, std::string of,
                      wire::blob_kind kind = wire::blob_kind::broadcast) {
  wire::broadcast m;
  m.number = number;
  m.kind = kind;
  m.name = std::move(name);
  m.value.whole = text(std::move(of));
  m.hash = digest_of(&deciding::sum, *make_stream(m.value.whole));
  return m;
}
errc only_answer(deciders& d, const peer& c) {
  const auto all = d.sent<wire::broadcast_done>(c);
  REQUIRE(all.size() == 1);
  return all[0].why.code;
}

}  // namespace

TEST_CASE("distribution: a value with its hash is held, one without is not") {
  deciders d;
  peer& c = d.client(1);
  d.sent(c);
  CHECK(d.distribute.offered(c, value(1, "weights", "abc"), d.now) == "");
  CHECK(only_answer(d, c) == errc::ok);
  CHECK(d.tables.sessions.broadcast_bytes() == 3);
  wire::broadcast broken = value(2, "weights", "abc");
  broken.hash[0] ^= 1;
  CHECK(d.distribute.offered(c, std::move(broken), d.now) == "");
  CHECK(only_answer(d, c) == errc::decode_failed);
  CHECK(d.tables.sessions.broadcast_bytes() == 3);
  CHECK(d.distribute.offered(c, value(1, "weights", "abc"), d.now) == "");  // sent again
  CHECK(only_answer(d, c) == errc::ok);
  CHECK(d.check() == "");
}

TEST_CASE("distribution: what a client may not offer is said in words, what does not fit is answered") {
  control::coordinator_options o;
  o.broadcast_bytes = 10;
  deciders d(o);
  peer& c = d.client(1);
  d.sent(c);
  CHECK(d.distribute.offered(c, value(1, "a", "", wire::blob_kind::fetched), d.now) ==
        "a broadcast of an impossible kind");
  CHECK(d.distribute.offered(c, value(1, "a", "x", wire::blob_kind::withdrawn), d.now) ==
        "a broadcast of an impossible kind");
  CHECK(d.distribute.offered(c, value(1, "a", "eleven bytes"), d.now) == "");
  CHECK(only_answer(d, c) == errc::too_large);
  CHECK(d.distribute.offered(c, value(2, std::string(max_broadcast_name + 1, 'n'), "x"), d.now) == "");
  CHECK(only_answer(d, c) == errc::too_large);
  wire::broadcast announced = value(3, "a", "");
  announced.value = {};
  announced.value.transfer = 1;
  announced.value.lengths = {0, 4};
  CHECK(d.distribute.offered(c, std::move(announced), d.now) == "");
  CHECK(d.distribute.offered(c, value(4, "b", "x"), d.now) == "a broadcast before the last one had ended");
  CHECK(d.check() == "");
}

TEST_CASE("distribution: a job waits for the values of its client, and finds them at its worker") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  wire::submit m = deciders::call(0);
  m.broadcasts = 1;
  const std::uint32_t j = d.submit(c, std::move(m));
  CHECK(d.tables.jobs[j].phase == job_phase::blocked);
  d.distribute.offered(c, value(1, "weights", "abc"), d.now);
  CHECK(d.tables.jobs[j].phase == job_phase::queued);
  d.sent(w);
  d.place.place(d.now);
  w.out.pump([&](wire::message&& each) { d.out.send(w, std::move(each)); }, [](std::uint64_t, std::size_t, bool) {});
  const auto all = d.sent(w);
  std::size_t blob = all.size(), run = all.size();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].get_if<wire::blob>() != nullptr) blob = i;
    if (all[i].get_if<wire::run>() != nullptr) run = i;
  }
  CHECK(blob < run);
  CHECK(run < all.size());
  d.distribute.serve(w.index, c.index);  // once per worker
  CHECK(d.sent(w).empty());
  served_session* const served = d.tables.workers[w.index].serving(d.tables.sessions.id(c.index));
  REQUIRE(served != nullptr);
  CHECK(served->unconfirmed == std::vector<std::uint64_t>{1});
  d.distribute.confirmed(w, wire::blob_done{served->session, 1, {}});
  CHECK(served->unconfirmed.empty());
}

TEST_CASE("distribution: a fetch is answered with the newest value, or why not") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint64_t session = d.tables.sessions.id(c.index);
  d.sent(w);
  d.distribute.fetched(w, wire::fetch{session, "weights"});
  auto refused = d.sent<wire::fetch_failed>(w);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].why.message == "there is no value of this name");
  d.distribute.fetched(w, wire::fetch{session + 1, "weights"});
  refused = d.sent<wire::fetch_failed>(w);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].why.message == "its client session is over");
  d.distribute.offered(c, value(1, "weights", "abc", wire::blob_kind::published), d.now);
  d.distribute.fetched(w, wire::fetch{session, "weights"});
  d.distribute.fetched(w, wire::fetch{session, "weights"});  // it is on its way
  std::size_t under_way = 0;
  w.out.each([&](std::uint64_t, std::uint64_t) { ++under_way; });
  CHECK(under_way == 1);
}

TEST_CASE("distribution: a value that a worker could not take is an answer to its fetch") {
  deciders d;
  peer& c = d.client(1);
  peer& w = d.worker(2);
  const std::uint64_t session = d.tables.sessions.id(c.index);
  d.distribute.offered(c, value(1, "weights", "abc", wire::blob_kind::published), d.now);
  wire::limits less = w.out.limits();
  less.payload = 2;
  w.out.set_limits(less);
  d.sent(w);
  d.distribute.fetched(w, wire::fetch{session, "weights"});
  const auto refused = d.sent<wire::fetch_failed>(w);
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].name == "weights");
  CHECK(refused[0].why.code == errc::too_large);
  CHECK(refused[0].why.place == "coordinator");
  CHECK(refused[0].why.remedy != "");
}
