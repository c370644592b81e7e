// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/client_state.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "control/story.hpp"

using namespace story;

namespace {
errc code(machines& c, std::size_t client, std::uint64_t call) { return c.result(client, call).why.code; }

/// A client whose coordinator is the test.
struct lone {
  time_point now{1h};
  control::client_state state;
  std::vector<control::client_action> actions;  ///< of the last `act`
  std::size_t sent = 0;                         ///< messages, since the last dial

  explicit lone(const control::client_options& options = {})
      : state({wire::role::client, "c", "host", 1, 0, 0, {type("job/1")}}, options, 1) {
    state.start(now);
    act();
  }
  static wire::welcome welcome() {
    wire::welcome w;
    w.epoch = 9;
    w.session = 7;
    w.key = 8;
    w.heartbeat = 1s;
    w.lost_after = 5s;
    w.credit = w.window = 1 << 20;
    return w;
  }
  void act() {
    state.take_actions(actions, now);
    for (const control::client_action& a : actions) sent += a.get_if<control::send>() != nullptr;
  }
  /// Is welcomed, and makes a call: its number.
  std::uint64_t join(control::link_id link) {
    state.connected(link, now);
    act();
    state.received(link, welcome(), now);
    const std::uint64_t call =
        state.submit({.wishes = {.effect_class = effect::pure, .retry = {}}, .arguments = text("x")}, now);
    act();
    return call;
  }
  /// Later it connects again, and has not been answered.
  void dial_again(duration later, control::link_id link) {
    state.tick(now += later);
    act();
    sent = 0;
    state.connected(link, now);
    act();
  }
  const wire::hello* said(control::link_id link) const {
    for (const control::client_action& a : actions)
      if (const auto* s = a.get_if<control::send>(); s != nullptr && s->link == link)
        if (const auto* h = s->what.get_if<wire::hello>()) return h;
    return nullptr;
  }
  template <class Wanted>
  bool has(Wanted wanted) const {
    for (const control::client_action& a : actions)
      if (wanted(a)) return true;
    return false;
  }
};
}  // namespace

TEST_CASE("a session survives a broken link") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  SUBCASE("its running job goes on, and a result of that time arrives once") {
    const auto call = c.submit(0, effect::at_most_once);
    c.break_link(c.clients[0]);
    c.finish(0, "kept");
    c.pass(1s);
    CHECK(c.result(0, call).value.body.view() == "kept");
    CHECK(c.clients[0].onlines == 2);
    c.pass(1s);
    CHECK(c.report().payload_bytes == 0);  // acknowledged
  }
  SUBCASE("a result that was lost with the link is sent again") {
    const auto call = c.submit(0);
    c.freeze(0, false);
    c.clients[0].frozen = true;
    c.finish(0, "again");
    c.break_link(c.clients[0]);
    c.clients[0].frozen = false;
    CHECK(!c.is_done(0, call));
    c.pass(1s);
    CHECK(c.result(0, call).value.body.view() == "again");
  }
  SUBCASE("a submit that was lost with the link is sent again, whatever its class") {
    c.clients[0].state->submit({.wishes = {.effect_class = effect::at_most_once, .retry = {}}, .arguments = text("x")},
                               c.now);
    std::vector<control::client_action> lost;
    c.clients[0].state->take_actions(lost, c.now);
    c.break_link(c.clients[0]);
    c.pass(1s);
    CHECK(c.workers[0].running.size() == 1);
    c.finish(0);
    CHECK(c.clients[0].done.size() == 1);
  }
  SUBCASE("a cancel made while away reaches its job") {
    const auto call = c.submit(0);
    c.break_link(c.clients[0]);
    c.clients[0].state->cancel(call, c.now);
    c.pass(1s);
    REQUIRE(c.workers[0].stops.size() == 1);
    c.finish(0, "", {.code = errc::cancelled, .message = "stopped"});
    CHECK(code(c, 0, call) == errc::cancelled);
  }
  SUBCASE("10 s away: its jobs are cancelled") {
    const auto call = c.submit(0);
    c.submit(0);
    c.clients[0].frozen = true;
    c.break_link(c.clients[0]);
    c.pass(9s);
    CHECK(c.workers[0].stops.empty());
    c.pass(2s);
    CHECK(c.workers[0].stops.size() == 1);
    CHECK(c.report().clients == 0);
    CHECK(c.report().queued == 0);
    c.finish(0);
    CHECK(!c.is_done(0, call));
    CHECK(c.report().payload_bytes == 0);
  }
  CHECK(c.violation == "");
}

TEST_CASE("a silent client is let go like one whose link broke") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto call = c.submit(0);
  c.clients[0].frozen = true;
  c.pass(6s);
  CHECK(c.report().clients == 1);
  c.clients[0].frozen = false;
  c.pass(2s);
  c.finish(0);
  CHECK(code(c, 0, call) == errc::ok);
  CHECK(c.violation == "");
}

TEST_CASE("the coordinator restarts") {
  machines c;
  c.start_coordinator(1);
  c.add_worker(2);
  c.add_client();
  const auto once = c.submit(0, effect::at_most_once, text("once"));
  const auto pure = c.submit(0, effect::pure, text("pure"));
  call_request r;
  r.wishes.retry.retries = 0;
  const auto spent = c.submit(0, effect::pure, text("spent"), std::move(r));
  c.kill_coordinator();
  SUBCASE("in time: what may run twice is submitted again within its budget, the rest has its cause") {
    c.pass(3s);
    CHECK(c.clients[0].done.empty());
    c.start_coordinator(2);
    c.pass(2s);
    CHECK(code(c, 0, once) == errc::coordinator_lost);
    CHECK(code(c, 0, spent) == errc::coordinator_lost);
    // What ran for the old coordinator is stopped and holds its slots until it ends.
    CHECK(c.workers[0].stops.size() == 2);
    CHECK(c.report().workers.size() == 1);
    CHECK(c.report().running == 0);
    c.finish(0, "old");
    c.finish(0, "old");
    CHECK(!c.is_done(0, pure));
    REQUIRE(c.workers[0].running.size() == 1);
    CHECK(c.workers[0].running[0].attempt == 2);
    c.finish(0, "new");
    CHECK(c.result(0, pure).value.body.view() == "new");
    CHECK(c.result(0, pure).attempts == 2);
    CHECK(c.clients[0].offlines.empty());
  }
  SUBCASE("too late: all calls end after 10 s, new ones at once, and it works again when it is back") {
    c.pass(9s);
    CHECK(c.clients[0].done.empty());
    c.pass(2s);
    CHECK(code(c, 0, once) == errc::coordinator_lost);
    CHECK(code(c, 0, pure) == errc::coordinator_lost);
    REQUIRE(c.clients[0].offlines.size() == 1);
    CHECK(!c.clients[0].offlines[0].final);
    const auto now = c.submit(0);
    CHECK(code(c, 0, now) == errc::coordinator_lost);
    c.start_coordinator(2);
    c.pass(2s);
    const auto later = c.submit(0);
    c.finish_all(0);
    c.pass(1s);
    c.finish_all(0);
    CHECK(code(c, 0, later) == errc::ok);
  }
  CHECK(c.violation == "");
}

TEST_CASE("a client that gave its coordinator up while a hello was on its way begins another session") {
  control::client_options options;
  options.hello_within = 5s;
  options.coordinator_wait = 3s;
  lone c(options);
  c.join(1);
  c.state.closed(1, error(errc::io_error, "reset"), c.now);
  c.dial_again(2s, 2);
  REQUIRE(c.said(2) != nullptr);
  CHECK(c.said(2)->session == 7);
  c.state.tick(c.now += 1s);
  c.act();
  CHECK(c.has([](const control::client_action& a) { return a.get_if<control::offline>() != nullptr; }));
  CHECK(c.has([](const control::client_action& a) { return a.get_if<control::complete>() != nullptr; }));
  CHECK(c.has([](const control::client_action& a) {
    const auto* const close = a.get_if<control::close_link>();
    return close != nullptr && close->link == 2;
  }));
  c.state.received(2, lone::welcome(), c.now);  // too late
  c.act();
  CHECK(!c.has([](const control::client_action& a) { return a.get_if<control::online>() != nullptr; }));
  c.dial_again(2s, 3);
  REQUIRE(c.said(3) != nullptr);
  CHECK(c.said(3)->session == 0);
}

TEST_CASE("before the welcome a client says hello and nothing else") {
  lone c;
  const std::uint64_t call = c.join(1);
  SUBCASE("whatever is wanted of it") {
    c.state.closed(1, error(errc::io_error, "reset"), c.now);
    c.dial_again(2s, 2);
    CHECK(c.sent == 1);
    c.state.cancel(call, c.now);
    c.state.query_status(c.now);
    c.state.broadcast("b", text("x").body, c.now);
    c.state.submit({.wishes = {.effect_class = effect::pure, .retry = {}}, .arguments = text("y")}, c.now);
    c.act();
    c.state.abandon(c.now);
    c.act();
    CHECK(c.sent == 1);
  }
  SUBCASE("a broken protocol is final the second time") {
    const auto final = [](const control::client_action& a) {
      const auto* const gone = a.get_if<control::offline>();
      return gone != nullptr && gone->final;
    };
    c.state.received(1, wire::refuse{errc::protocol_error, "a word too much"}, c.now);
    c.act();
    CHECK(!c.has(final));
    c.dial_again(2s, 2);
    CHECK(c.sent == 1);
    c.state.received(2, wire::refuse{errc::protocol_error, "a word too much"}, c.now);
    c.act();
    CHECK(c.has(final));
  }
}

TEST_CASE("no coordinator from the start") {
  machines c;
  c.add_client();
  const auto call = c.submit(0);
  c.pass(9s);
  CHECK(!c.is_done(0, call));
  c.pass(2s);
  CHECK(code(c, 0, call) == errc::unreachable);
  REQUIRE(c.clients[0].offlines.size() == 1);
  CHECK(c.clients[0].offlines[0].final);
  CHECK(c.clients[0].closed);
  CHECK(c.violation == "");
}

TEST_CASE("a silent peer holds a client no longer than its times: the link ends without a wait for the other side") {
  control::client_options options;
  options.connect_within = 3s;
  lone c(options);
  c.state.connected(1, c.now);
  c.act();
  const auto aborts = [](const control::client_action& a) {
    const auto* const end = a.get_if<control::close_link>();
    return end != nullptr && end->link == 1 && end->now;
  };
  SUBCASE("connect_within") {
    CHECK(c.state.next_tick() == c.now + 3s);
    c.state.tick(c.now += 3s);
  }
  SUBCASE("close") { c.state.close(c.now); }
  c.act();
  CHECK(c.state.ended());
  CHECK(c.has(aborts));
}

TEST_CASE("a coordinator that does not take the client says so at once") {
  machines c;
  c.options.cookie = 5;
  c.start_coordinator();
  c.add_client();
  c.pass(100ms);
  REQUIRE(c.clients[0].offlines.size() == 1);
  CHECK(c.clients[0].offlines[0].why.code() == errc::refused);
  CHECK(c.clients[0].closed);
}

TEST_CASE("broadcasts") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_worker(1);
  c.add_client();
  const auto send = [&](std::string name, std::size_t size, char fill) {
    const auto n = c.clients[0].state->broadcast(std::move(name), bytes::from(std::string(size, fill)), c.now);
    c.settle();
    return n;
  };
  const auto weights = send("weights", 5u << 20, 'a');
  REQUIRE(c.clients[0].broadcasts.contains(weights));
  CHECK(c.clients[0].broadcasts[weights].code == errc::ok);
  CHECK(c.workers[0].blob_log.empty());  // no job of this session yet
  SUBCASE("reach each worker once, before the first job that needs them") {
    c.submit(0);
    CHECK(c.workers[0].blobs["weights"].size() == (5u << 20));
    CHECK(c.workers[0].running.size() == 1);
    CHECK(c.workers[1].blob_log.empty());
    c.submit(0);
    CHECK(c.workers[1].blobs["weights"].size() == (5u << 20));
    for (int i = 0; i < 5; ++i) c.submit(0);
    c.finish_all(0);
    CHECK(c.workers[0].blob_log.size() == 1);
  }
  SUBCASE("reach a worker that joins late") {
    c.submit(0);
    c.submit(0);
    c.submit(0, effect::at_most_once);
    const auto late = c.add_worker(1);
    REQUIRE(c.workers[late].running.size() == 1);
    CHECK(c.workers[late].blobs["weights"].size() == (5u << 20));
  }
  SUBCASE("a new value of a name is a new version, and what is submitted later sees it") {
    c.submit(0);
    c.clients[0].state->broadcast("weights", bytes::from(std::string(3u << 20, 'b')), c.now);
    c.clients[0].state->submit({.wishes = {}, .arguments = text("x")}, c.now);
    c.settle();
    CHECK(c.workers[0].blobs["weights"][0] == 'b');
    const auto late = c.add_worker(1);
    c.submit(0, effect::at_most_once);
    c.submit(0, effect::at_most_once);
    CHECK(c.workers[late].blob_log.size() == 1);  // the newest only
    CHECK(c.workers[late].blobs["weights"][0] == 'b');
    CHECK(c.report().broadcast_bytes == (3u << 20));
  }
  SUBCASE("over the limit of the coordinator") {
    c.options.broadcast_bytes = 1000;
    c.start_coordinator(2);
    c.pass(6s);
    const auto n = send("large", 2000, 'c');
    CHECK(c.clients[0].broadcasts[n].code == errc::too_large);
    c.submit(0);
    c.pass(1s);
    CHECK(c.workers[0].running.size() + c.workers[1].running.size() == 1);
  }
  SUBCASE("are sent again to a coordinator that restarted, before the jobs") {
    c.submit(0);
    c.finish(0);
    c.kill_coordinator();
    c.pass(1s);
    c.start_coordinator(2);
    c.pass(2s);
    CHECK(c.report().broadcast_bytes == (5u << 20));
    c.submit(0);
    c.submit(0);
    CHECK(c.workers[0].running.size() == 1);
    CHECK(c.workers[0].blob_log.size() == 2);
    CHECK(c.clients[0].broadcasts.size() == 1);
  }
  SUBCASE("a worker that comes back has them still") {
    c.submit(0);
    c.break_link(c.workers[0]);
    c.pass(500ms);
    c.finish(0);
    c.submit(0);
    c.submit(0);
    CHECK(c.workers[0].blob_log.size() == 1);
  }
  SUBCASE("are forgotten with their session") {
    c.submit(0);
    c.finish(0);
    c.clients[0].state->close(c.now);
    c.settle();
    CHECK(c.clients[0].closed);
    CHECK(c.report().broadcast_bytes == 0);
    CHECK(c.report().clients == 0);
  }
  CHECK(c.violation == "");
}

TEST_CASE("published values") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_worker(1);
  c.add_client();
  const auto publish = [&](std::string name, std::size_t size, char fill) {
    const auto n = c.clients[0].state->broadcast(std::move(name), bytes::from(std::string(size, fill)), c.now,
                                                 blob_kind::published);
    c.settle();
    return n;
  };
  const auto withdraw = [&](std::string name) {
    const auto n = c.clients[0].state->withdraw(std::move(name), c.now);
    c.settle();
    return n;
  };
  const auto fetch = [&](std::size_t w, std::uint64_t request, std::string name) {
    c.workers[w].state->fetch(request, c.workers[w].ran.back().session, std::move(name), c.now);
    c.settle();
  };
  const auto first = publish("shard-1", 3u << 20, 'a');
  publish("shard-2", 2u << 20, 'b');
  CHECK(c.clients[0].broadcasts[first].code == errc::ok);
  CHECK(c.report().broadcast_bytes == (5u << 20));
  c.submit(0);
  c.submit(0);
  REQUIRE(c.workers[0].running.size() == 1);
  REQUIRE(c.workers[1].running.size() == 1);
  CHECK(c.workers[0].announced.size() == 2);
  CHECK(c.workers[0].blob_log.empty());
  SUBCASE("go to the worker that asks, once, and are at hand afterwards") {
    fetch(0, 1, "shard-1");
    REQUIRE(c.workers[0].fetches.contains(1));
    CHECK(c.workers[0].fetches[1].code == errc::ok);
    CHECK(c.workers[0].blobs["shard-1"].size() == (3u << 20));
    fetch(0, 2, "shard-1");
    CHECK(c.workers[0].fetches[2].code == errc::ok);
    CHECK(c.workers[0].blob_log.size() == 1);
    CHECK(c.workers[1].blob_log.empty());
  }
  SUBCASE("a name that nobody has published") {
    fetch(0, 1, "shard-3");
    CHECK(c.workers[0].fetches[1].code == errc::not_found);
  }
  SUBCASE("a newer value: the old one goes, and a later job fetches the new one") {
    fetch(0, 1, "shard-1");
    publish("shard-1", 1u << 20, 'c');
    CHECK(c.report().broadcast_bytes == (3u << 20));
    CHECK_FALSE(c.workers[0].blobs.contains("shard-1"));
    fetch(0, 2, "shard-1");
    CHECK(c.workers[0].blobs["shard-1"] == std::string(1u << 20, 'c'));
  }
  SUBCASE("withdrawn: coordinator and workers let it go, later jobs do not find it, a late worker never hears of it") {
    fetch(0, 1, "shard-1");
    const auto n = withdraw("shard-1");
    CHECK(c.clients[0].broadcasts[n].code == errc::ok);
    CHECK(c.report().broadcast_bytes == (2u << 20));
    CHECK_FALSE(c.workers[0].blobs.contains("shard-1"));
    CHECK_FALSE(c.workers[1].announced.contains("shard-1"));
    fetch(0, 2, "shard-1");
    CHECK(c.workers[0].fetches[2].code == errc::not_found);
    const auto late = c.add_worker(1);
    c.submit(0);
    REQUIRE(c.workers[late].running.size() == 1);
    fetch(late, 1, "shard-1");
    CHECK(c.workers[late].fetches[1].code == errc::not_found);
    CHECK(c.clients[0].state->memory({}).broadcasts == (2u << 20));
    withdraw("shard-2");
    CHECK(c.report().broadcast_bytes == 0);
  }
  SUBCASE("a broadcast one is withdrawn likewise, and a name without a value is no error") {
    const auto n = c.clients[0].state->broadcast("weights", bytes::from(std::string(100, 'w')), c.now);
    c.settle();
    CHECK(c.clients[0].broadcasts[n].code == errc::ok);
    CHECK(c.workers[0].blobs["weights"].size() == 100);
    withdraw("weights");
    CHECK_FALSE(c.workers[0].blobs.contains("weights"));
    CHECK(c.clients[0].broadcasts[withdraw("nothing")].code == errc::ok);
  }
  SUBCASE("withdrawn while the worker's link is broken") {
    fetch(0, 1, "shard-1");
    c.break_link(c.workers[0]);
    withdraw("shard-1");
    c.pass(2s);
    c.finish(0);
    c.submit(0);
    REQUIRE(c.workers[0].running.size() == 1);
    CHECK_FALSE(c.workers[0].blobs.contains("shard-1"));
    CHECK_FALSE(c.workers[0].announced.contains("shard-1"));
  }
  SUBCASE("withdrawn on the way when the worker's link breaks, with others after it") {
    fetch(0, 1, "shard-1");
    c.workers[0].frozen = true;
    withdraw("shard-1");
    c.break_link(c.workers[0]);
    for (int i = 0; i < 200; ++i) {
      publish("n" + std::to_string(i), 10, 'x');
      withdraw("n" + std::to_string(i));
    }
    c.workers[0].frozen = false;
    c.pass(2s);
    c.finish(0);
    c.submit(0);
    REQUIRE(c.workers[0].running.size() == 1);
    CHECK_FALSE(c.workers[0].blobs.contains("shard-1"));
    CHECK_FALSE(c.workers[0].announced.contains("shard-1"));
  }
  SUBCASE("a link that breaks before the workers have heard of it") {
    c.workers[0].frozen = true;
    publish("shard-3", 10, 'x');
    c.break_link(c.workers[0]);
    c.workers[0].frozen = false;
    c.pass(2s);
    fetch(0, 1, "shard-3");
    CHECK(c.workers[0].fetches[1].code == errc::ok);
  }
  SUBCASE("are told again, and asked for again, after a break") {
    c.workers[0].frozen = true;
    c.workers[0].state->fetch(1, c.workers[0].ran.back().session, "shard-1", c.now);
    c.break_link(c.workers[0]);
    c.workers[0].frozen = false;
    CHECK(c.workers[0].fetches.empty());
    c.pass(2s);
    REQUIRE(c.workers[0].fetches.contains(1));
    CHECK(c.workers[0].fetches[1].code == errc::ok);
    CHECK(c.workers[0].blobs["shard-1"].size() == (3u << 20));
  }
  SUBCASE("a coordinator that restarted gets them again; what was withdrawn is not") {
    withdraw("shard-2");
    c.kill_coordinator();
    c.pass(1s);
    c.start_coordinator(2);
    c.pass(2s);
    CHECK(c.report().broadcast_bytes == (3u << 20));
    c.finish(0);
    c.submit(0);
    c.submit(0);
    REQUIRE(c.workers[0].running.size() == 1);
    fetch(0, 7, "shard-1");
    CHECK(c.workers[0].fetches[7].code == errc::ok);
    fetch(0, 8, "shard-2");
    CHECK(c.workers[0].fetches[8].code == errc::not_found);
  }
  SUBCASE("marks of withdrawn names do not add up") {
    for (int i = 0; i < 500; ++i) {
      publish("n" + std::to_string(i), 10, 'x');
      withdraw("n" + std::to_string(i));
    }
    CHECK(c.report().broadcast_bytes == (5u << 20));
    std::uint64_t told = 0;
    c.spy = [&](const wire::message& m, bool) { told += m.get_if<wire::blob>() != nullptr; };
    c.add_worker(1);
    c.submit(0);
    CHECK(told < 2 + 130);
  }
  SUBCASE("are forgotten with their session") {
    fetch(0, 1, "shard-1");
    c.finish(0);
    c.finish(1);
    c.clients[0].state->close(c.now);
    c.settle();
    CHECK(c.report().broadcast_bytes == 0);
    CHECK(c.workers[0].state->open_sessions().empty());
  }
  CHECK(c.violation == "");
}

TEST_CASE("more names of values than a session may have") {
  machines c;
  c.start_coordinator();
  c.add_client();
  for (std::size_t i = 0; i < control::max_broadcast_names; ++i)
    c.clients[0].state->broadcast(std::to_string(i), {}, c.now, blob_kind::published);
  c.settle();
  for (const auto& [n, why] : c.clients[0].broadcasts) CHECK(why.code == errc::ok);
  const auto over = c.clients[0].state->broadcast("one more", {}, c.now);
  c.settle();
  CHECK(c.clients[0].broadcasts[over].code == errc::too_large);
  CHECK(c.clients[0].broadcasts[over].remedy.find("withdraw") != std::string::npos);
  c.clients[0].state->withdraw("5", c.now);
  const auto now_fits = c.clients[0].state->broadcast("one more", {}, c.now);
  c.settle();
  CHECK(c.clients[0].broadcasts[now_fits].code == errc::ok);
}

TEST_CASE("a broadcast whose bytes are not what its hash says") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto n = c.clients[0].state->broadcast("v", bytes::copy("abc"), wire::digest{1, 2}, c.now);
  c.settle();
  CHECK(c.clients[0].broadcasts[n].code == errc::decode_failed);
  const auto call = c.submit(0);
  c.finish(0);
  CHECK(code(c, 0, call) == errc::ok);
}

TEST_CASE("a watched call tells its states") {
  machines c;
  c.start_coordinator();
  c.add_client();
  call_request r;
  r.wishes.watch = true;
  const auto call = c.submit(0, effect::pure, text("a"), std::move(r));
  c.add_worker(1);
  c.kill(0);
  c.add_worker(1);
  c.pass(2s);
  c.finish(1);
  std::vector<wire::job_state> seen;
  for (const auto& change : c.clients[0].changes) {
    CHECK(change.call == call);
    seen.push_back(change.now);
  }
  using enum wire::job_state;
  CHECK(seen == std::vector<wire::job_state>{queued, assigned, running, queued, queued, assigned, running});
  CHECK(c.clients[0].changes.back().attempt == 2);
}

TEST_CASE("closing cancels what is open and waits for its ends") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  const auto running = c.submit(0);
  const auto queued = c.submit(0, effect::at_most_once);
  c.clients[0].state->close(c.now);
  c.settle();
  CHECK(code(c, 0, queued) == errc::cancelled);
  CHECK(!c.clients[0].closed);
  CHECK(c.workers[0].stops.size() == 1);
  SUBCASE("that come") {
    c.finish(0, "", {.code = errc::cancelled, .message = "stopped"});
    CHECK(c.clients[0].closed);
  }
  SUBCASE("that do not come, because nobody is there") {
    c.kill_coordinator();
    c.pass(11s);
    CHECK(c.clients[0].closed);
  }
  SUBCASE("and a second demand ends it at once") {
    c.clients[0].state->abandon(c.now);
    c.settle();
    CHECK(c.clients[0].closed);
    CHECK(c.report().clients == 0);
  }
  CHECK(code(c, 0, running) == errc::cancelled);
  const auto late = c.clients[0].state->submit({.wishes = {}, .arguments = text("x")}, c.now);
  c.settle();
  CHECK(c.clients[0].state->ended());
  (void)late;
  CHECK(c.violation == "");
}

TEST_CASE("a coordinator that stops answering cannot hold a call beyond its deadline, nor a cancel") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  call_request r;
  r.wishes.deadline = 2s;
  const auto call = c.submit(0, effect::pure, text("a"), std::move(r));
  const auto cancelled = c.submit(0);
  c.coordinator.reset();  // its links stay open: nothing comes any more
  c.clients[0].state->cancel(cancelled, c.now);
  c.pass(2101ms);
  CHECK(code(c, 0, call) == errc::deadline_exceeded);
  c.pass(11s);
  CHECK(c.is_done(0, cancelled));
}

TEST_CASE("a cancelled call ends cancelled, or with a value that was on its way; never with a failure") {
  machines c;
  c.start_coordinator();
  c.add_worker(1);
  c.add_client();
  SUBCASE("a value that was on its way") {
    const auto call = c.submit(0);
    c.clients[0].state->cancel(call, c.now);
    c.finish(0, "there");
    CHECK(code(c, 0, call) == errc::ok);
    CHECK(c.result(0, call).value.body.view() == "there");
  }
  SUBCASE("a failure that was on its way: it tells it in words") {
    const auto call = c.submit(0);
    c.clients[0].state->cancel(call, c.now);
    c.finish(0, "", {.code = errc::job_failed, .type = "std::out_of_range", .message = "no place 7", .place = "here"});
    const control::complete& end = c.result(0, call);
    CHECK(end.why.code == errc::cancelled);
    CHECK(end.why.message == "cancelled; its end was job_failed: no place 7");
    CHECK(end.why.type == "");
    CHECK(end.attempts == 1);
    CHECK(end.worker == "host/w0#1");
  }
  SUBCASE("its deadline, while the coordinator is silent") {
    call_request r;
    r.wishes.deadline = 2s;
    const auto call = c.submit(0, effect::pure, text("a"), std::move(r));
    c.coordinator.reset();
    c.clients[0].state->cancel(call, c.now);
    c.pass(2101ms);
    CHECK(code(c, 0, call) == errc::cancelled);
  }
  CHECK(c.violation == "");
}

TEST_CASE("status, asked by an observer") {
  machines c;
  c.start_coordinator();
  c.add_worker(3);
  c.add_client();
  for (int i = 0; i < 4; ++i) c.submit(0, effect::at_most_once);
  control::client_state observer({wire::role::observer, "status", "host", 9, 0, 0, {}}, c.client_options, 9);
  std::vector<control::client_action> out;
  std::vector<control::coordinator_action> answers;
  observer.start(c.now);
  observer.connected(500, c.now);
  c.coordinator->opened(500, "observer", false, c.now);
  const auto request = observer.query_status(c.now);
  cluster_status got;
  std::uint64_t answered = 0;
  for (int i = 0; i < 5; ++i) {
    observer.take_actions(out, c.now);
    for (auto& a : out) {
      if (auto* s = a.get_if<control::send>()) c.coordinator->received(500, std::move(s->what), c.now);
      if (auto* s = a.get_if<control::status_arrived>()) got = s->report, answered = s->request;
    }
    c.coordinator->take_actions(answers, c.now);
    for (auto& a : answers)
      if (auto* s = a.get_if<control::send>(); s != nullptr && s->link == 500)
        observer.received(500, std::move(s->what), c.now);
  }
  CHECK(answered == request);
  CHECK(got.clients == 1);
  CHECK(got.running == 3);
  CHECK(got.queued == 1);
  REQUIRE(got.workers.size() == 1);
  CHECK(got.workers[0].slots == 3);
  CHECK(got.workers[0].state == "up");
}

namespace {
/// A client whose coordinator is the test.
struct lone_client {
  time_point now{1h};
  control::client_state state;
  std::vector<wire::message> sent;
  std::vector<control::complete> ends;
  std::vector<control::broadcast_complete> broadcasts;
  std::vector<std::uint64_t> accepted;
  std::vector<std::string> notes;  ///< of errors
  std::vector<control::status_arrived> statuses;
  int dials = 0, closes = 0;
  std::string violation;

  explicit lone_client(control::client_options o = {})
      : state({wire::role::client, "c", "host", 1, 0, 0, {type("job/1")}}, with_digest(o), 1) {
    state.start(now);
    take();
  }
  static control::client_options with_digest(control::client_options o) {
    o.digest = &sum;
    return o;
  }
  void take() {
    std::vector<control::client_action> out;
    for (state.take_actions(out, now); !out.empty(); state.take_actions(out, now))
      for (auto& a : out) {
        if (auto* s = a.get_if<control::send>())
          sent.push_back(std::move(s->what));
        else if (auto* e = a.get_if<control::complete>())
          ends.push_back(std::move(*e));
        else if (auto* b = a.get_if<control::broadcast_complete>())
          broadcasts.push_back(*b);
        else if (auto* n = a.get_if<control::note>(); n != nullptr && n->level == log_level::error)
          notes.push_back(std::string(n->event) + " " + n->text);
        else if (auto* t = a.get_if<control::status_arrived>())
          statuses.push_back(std::move(*t));
        if (const auto* in = a.get_if<control::accepted>()) accepted.push_back(in->call);
        dials += a.get_if<control::dial>() != nullptr;
        closes += a.get_if<control::close_link>() != nullptr;
      }
    if (violation.empty()) violation = state.check();
  }
  void join(control::link_id link, std::uint64_t credit, wire::welcome w = {}) {
    state.connected(link, now);
    w.session = 5;
    w.key = 1;
    if (w.epoch == 0) w.epoch = 1;
    w.heartbeat = 1s;
    w.lost_after = 5s;
    w.credit = w.window = credit;
    get(link, std::move(w));
  }
  void get(control::link_id link, wire::message m) {
    state.received(link, std::move(m), now);
    take();
  }
  /// Lets the time pass until it dials.
  void wait_for_dial() {
    for (const int before = dials; dials == before;) {
      now = std::max(now, state.next_tick());
      state.tick(now);
      take();
    }
  }
  void gone(control::link_id link) {
    state.closed(link, error(errc::io_error, "reset"), now);
    take();
  }
  std::uint64_t submit(payload arguments = text("a"), call_request r = {}) {
    r.wishes.effect_class = effect::pure;
    r.arguments = std::move(arguments);
    const std::uint64_t id = state.submit(std::move(r), now);
    take();
    return id;
  }
  template <class M>
  std::vector<M> all() const {
    std::vector<M> out;
    for (const auto& m : sent)
      if (const auto* x = m.get_if<M>()) out.push_back(*x);
    return out;
  }
};
}  // namespace

TEST_CASE("a client that closes does not send the rest of a broadcast") {
  lone_client c;
  c.join(1, 1 << 20);
  c.state.unsent(1, wire::high_water, c.now);
  c.state.broadcast("m", bytes::from(std::string(4 << 20, 'x')), c.now);
  c.take();
  SUBCASE("that had begun") {
    c.state.unsent(1, wire::high_water - 1, c.now);
    c.take();
    REQUIRE(c.all<wire::broadcast>().size() == 1);
  }
  SUBCASE("that had not begun") {}
  const std::size_t begun = c.all<wire::broadcast>().size();
  c.submit();  // whose end the close waits for
  c.state.close(c.now);
  c.take();
  c.state.unsent(1, 0, c.now);
  const std::size_t before = c.all<wire::chunk>().size();
  c.take();
  CHECK(c.all<wire::chunk>().size() == before);
  CHECK(c.all<wire::abort_transfer>().size() == begun);
  CHECK(c.all<wire::broadcast>().size() == begun);
  CHECK(c.violation == "");
}

TEST_CASE("a call whose arguments wait for the link ends without them, and its credit goes to the next") {
  const payload large = big(1 << 20);
  lone_client c;
  c.join(1, 5 << 18);  // for one of these at a time
  c.state.unsent(1, wire::high_water, c.now);
  call_request hasty;
  hasty.wishes.deadline = 2s;
  const std::uint64_t call = c.submit(large, hasty);
  const std::uint64_t next = c.submit(large);
  SUBCASE("by its cancel") {
    c.state.cancel(call, c.now);
    c.take();
    REQUIRE(c.ends.size() == 1);
    CHECK(c.ends[0].why.code == errc::cancelled);
    CHECK(c.ends[0].why.message == "cancelled before it was sent");
  }
  SUBCASE("by its deadline") {
    c.now += 2100ms;
    c.state.tick(c.now);
    c.take();
    REQUIRE(c.ends.size() == 1);
    CHECK(c.ends[0].why.code == errc::deadline_exceeded);
  }
  CHECK(c.ends[0].call == call);
  c.state.unsent(1, 0, c.now);
  c.take();
  const auto submitted = c.all<wire::submit>();
  REQUIRE(submitted.size() == 1);
  CHECK(submitted[0].call == next);
  CHECK(c.all<wire::cancel>().empty());  // of a call that the coordinator does not know
  CHECK(c.violation == "");
}

TEST_CASE("a cancelled call that an ending coordinator gives back is cancelled, and goes to no other") {
  lone_client c;
  c.join(1, 1 << 20);
  const std::uint64_t call = c.submit();
  c.state.cancel(call, c.now);
  c.take();
  wire::result back;
  back.call = call;
  back.why.code = errc::closed;
  c.get(1, std::move(back));
  REQUIRE(c.ends.size() == 1);
  CHECK(c.ends[0].why.code == errc::cancelled);
  CHECK(c.ends[0].why.message == "cancelled before it ran");
  CHECK(c.ends[0].attempts == 0);
  c.gone(1);
  c.wait_for_dial();
  c.join(2, 1 << 20, {.limits = {}, .epoch = 2});
  CHECK(c.all<wire::submit>().size() == 1);
  CHECK(c.violation == "");
}

TEST_CASE("a broadcast that is too large for the next coordinator is lost in words") {
  lone_client c;
  c.join(1, 1 << 20);
  c.state.broadcast("weights", bytes::from(std::string(2000, 'w')), c.now);
  c.take();
  REQUIRE(c.all<wire::broadcast>().size() == 1);
  c.get(1, wire::broadcast_done{c.all<wire::broadcast>()[0].number, {}});
  REQUIRE(c.broadcasts.size() == 1);
  CHECK(c.broadcasts[0].why.code == errc::ok);
  c.gone(1);
  c.wait_for_dial();
  wire::welcome less;
  less.epoch = 2;
  less.limits.payload = 1000;
  c.join(2, 1 << 20, less);
  CHECK(c.all<wire::broadcast>().size() == 1);
  CHECK(c.broadcasts.size() == 1);
  REQUIRE(c.notes.size() == 1);
  CHECK(c.notes[0] ==
        "broadcast_lost 'weights' could not be sent again to a new coordinator: broadcast 'weights' takes 2000 bytes, "
        "the limit of a payload is 1000");
  CHECK(c.violation == "");
}

TEST_CASE("a call whose deadline is over when it is made says so, with or without a coordinator") {
  lone_client c;
  SUBCASE("with one") { c.join(1, 1 << 20); }
  SUBCASE("without") {}
  call_request late;
  late.wishes.deadline = -1s;
  c.submit(text("a"), late);
  late.wishes.deadline = 0s;
  c.submit(text("a"), late);
  REQUIRE(c.ends.size() == 2);
  for (const control::complete& end : c.ends) {
    CHECK(end.why.code == errc::deadline_exceeded);
    CHECK(end.why.message == "the call's deadline was over before it was made");
    CHECK(end.why.remedy != "");
  }
  CHECK(c.all<wire::submit>().empty());
  CHECK(c.violation == "");
}

TEST_CASE("a status that does not come says for how long it was waited, and whether there is a connection") {
  lone_client c;
  c.join(1, 1 << 20);
  std::string why = "the coordinator is connected and does not answer";
  SUBCASE("with one") {}
  SUBCASE("without") {
    c.gone(1);
    why = "there is no connection to the coordinator now";
  }
  c.state.query_status(c.now);
  c.take();
  for (int i = 0; i < 50; ++i) {
    CHECK(c.statuses.empty());
    c.now += 100ms;
    c.state.received(1, wire::pong{}, c.now);
    c.state.tick(c.now);
    c.take();
  }
  REQUIRE(c.statuses.size() == 1);
  CHECK(c.statuses[0].why.code() == errc::deadline_exceeded);
  CHECK(c.statuses[0].why.cause() == "no status within 5000 ms: " + why);
  CHECK(c.statuses[0].why.remedy() != "");
  CHECK(c.violation == "");
}

TEST_CASE("a link that comes when none is wanted any more is closed") {
  lone_client c;
  c.join(1, 1 << 20);
  c.state.connected(2, c.now);
  c.take();
  CHECK(c.closes == 1);
  CHECK(c.all<wire::hello>().size() == 1);
  CHECK(c.violation == "");
}

TEST_CASE("calls wait for room, in order, whatever took it") {
  control::client_options o;
  o.unsent_bytes = 1500;
  lone_client c(o);
  std::vector<std::uint64_t> calls;
  SUBCASE("calls that have to be sent again, to a coordinator that takes less at once") {
    c.join(1, 100'000);
    for (int i = 0; i < 10; ++i) calls.push_back(c.submit());
    CHECK(c.all<wire::submit>().size() == 10);
    CHECK(c.accepted == calls);
    c.gone(1);
    c.wait_for_dial();
    c.join(2, 600, {.limits = {}, .epoch = 2});
    calls.push_back(c.submit());
    CHECK(c.accepted.size() == 10);
    for (int i = 0; i < 10; ++i) c.get(2, wire::credit{600});
  }
  SUBCASE("calls that were answered overloaded") {
    c.join(1, 3000);
    for (int i = 0; i < 10; ++i) calls.push_back(c.submit());
    CHECK(c.accepted == calls);
    const std::vector<std::uint64_t> refused = calls;
    for (const std::uint64_t call : refused) {
      wire::result r;
      r.call = call;
      r.why.code = errc::overloaded;
      c.get(1, r);
    }
    // Their arguments wait here as those of calls that were never sent do.
    for (int i = 0; i < 3; ++i) calls.push_back(c.submit());
    CHECK(c.accepted == refused);
    c.get(1, wire::credit{20 * 257});
    CHECK(c.accepted == refused);
    SUBCASE("and are sent again") {
      for (int i = 0; i < 100; ++i) {
        c.now += 10ms;
        c.state.tick(c.now);
        c.take();
      }
      CHECK(c.all<wire::submit>().size() == 23);
    }
    SUBCASE("and are cancelled") {
      for (const std::uint64_t call : refused) c.state.cancel(call, c.now);
      c.take();
      CHECK(c.ends.size() == 10);
    }
  }
  SUBCASE("calls that no coordinator has taken yet") {
    for (int i = 0; i < 20; ++i) calls.push_back(c.submit());
    CHECK(c.accepted.size() == 6);  // 257 bytes each: the sixth found 1,285 of 1,500
    c.join(1, 100'000);
    c.take();
    CHECK(c.all<wire::submit>().size() == 20);
  }
  CHECK(c.accepted == calls);
  CHECK(c.violation == "");
}

TEST_CASE("a call that waits for room can end there") {
  control::client_options o;
  o.unsent_bytes = 300;
  lone_client c(o);
  for (int i = 0; i < 2; ++i) c.submit();
  call_request hasty;
  hasty.wishes.deadline = 2s;
  const std::uint64_t call = c.submit(text("a"), hasty);
  const std::uint64_t last = c.submit();
  REQUIRE(c.accepted.size() == 2);
  CHECK(c.state.memory({}).arguments == 4);
  SUBCASE("by its deadline, which began when it was submitted") {
    c.now += 1999ms;
    c.state.tick(c.now);
    c.take();
    CHECK(c.ends.empty());
    c.now += 1ms;
    c.state.tick(c.now);
    c.take();
    REQUIRE(c.ends.size() == 1);
    CHECK(c.ends[0].call == call);
    CHECK(c.ends[0].why.code == errc::deadline_exceeded);
    CHECK(c.ends[0].why.message == "the deadline passed before there was room to send the job");
  }
  SUBCASE("by its cancel") {
    c.state.cancel(call, c.now);
    c.take();
    REQUIRE(c.ends.size() == 1);
    CHECK(c.ends[0].call == call);
    CHECK(c.ends[0].why.code == errc::cancelled);
  }
  SUBCASE("with its client") {
    c.state.close(c.now);
    c.take();
    CHECK(c.ends.size() == 4);
    CHECK(c.state.ended());
    CHECK(c.accepted.size() == 2);
    CHECK(c.violation == "");
    return;
  }
  SUBCASE("where no coordinator comes") {
    c.now += o.connect_within;
    c.state.tick(c.now);
    c.take();
    REQUIRE(c.ends.size() == 4);
    CHECK(std::all_of(c.ends.begin(), c.ends.end(), [&](const auto& end) {
      return end.why.code == (end.call == call ? errc::deadline_exceeded : errc::unreachable);
    }));
    CHECK(c.accepted.size() == 2);
    CHECK(c.violation == "");
    return;
  }
  CHECK(c.state.memory({}).arguments == 3);
  c.join(1, 100'000);
  c.take();
  CHECK(c.all<wire::submit>().size() == 3);
  CHECK(c.accepted.back() == last);
  CHECK(c.violation == "");
}

TEST_CASE("what does not fit into a frame is refused before it costs the link") {
  lone_client c;
  wire::welcome w;
  w.limits.payload = 1 << 20;  // the coordinator takes less than the client would send
  w.limits.blobs = 2;
  c.join(1, 100 << 20, w);
  SUBCASE("a name") {
    c.state.broadcast(std::string(2 << 20, 'n'), bytes::from("v"), c.now);
    c.take();
    REQUIRE(c.broadcasts.size() == 1);
    CHECK(c.broadcasts[0].why.code == errc::too_large);
    CHECK(c.broadcasts[0].why.message.find("2097152 bytes, the limit is 4096") != std::string::npos);
    CHECK(c.broadcasts[0].why.remedy != "");
  }
  SUBCASE("a value, and the next is sent") {
    c.state.broadcast("m", bytes::from(std::string(2 << 20, 'v')), c.now);
    c.state.broadcast("n", bytes::from("v"), c.now);
    c.take();
    REQUIRE(c.broadcasts.size() == 1);
    CHECK(c.broadcasts[0].why.code == errc::too_large);
    REQUIRE(c.all<wire::broadcast>().size() == 1);
    CHECK(c.all<wire::broadcast>()[0].name == "n");
  }
  SUBCASE("arguments") {
    c.submit(big(2 << 20));
    payload many;
    many.blobs.resize(3);
    c.submit(std::move(many));
    REQUIRE(c.ends.size() == 2);
    CHECK(c.ends[0].why.code == errc::too_large);
    CHECK(c.ends[1].why.code == errc::too_large);
    CHECK(c.all<wire::submit>().empty());
  }
  SUBCASE("the acknowledgements of very many results") {
    for (std::uint64_t call = 1; call <= 20'000; ++call) {
      wire::result r;
      r.call = call;
      c.state.received(1, std::move(r), c.now);
    }
    c.take();
    std::size_t sum_of = 0;
    for (const wire::acknowledge& a : c.all<wire::acknowledge>()) {
      CHECK(a.calls.size() <= 4096);
      sum_of += a.calls.size();
    }
    CHECK(sum_of == 20'000);
  }
  CHECK(c.closes == 0);
  CHECK(c.violation == "");
}

TEST_CASE("links that die right after each welcome come further and further apart") {
  control::client_options o;
  o.redial_min = 50ms;
  o.redial_max = 1s;
  lone_client c(o);
  control::link_id link = 0;
  const auto live = [&](duration d) {
    c.join(++link, 1000);
    c.now += d;
    c.gone(link);
    const time_point before = c.now;
    c.wait_for_dial();
    return c.now - before;
  };
  CHECK(live(1ms) == 0s);  // anything may happen once
  CHECK(live(1ms) <= 50ms);
  duration pause{};
  for (int i = 0; i < 6; ++i) pause = live(1ms);
  CHECK(pause >= 750ms);
  CHECK(pause <= 1s);
  // One that lasted a heartbeat: it is dialed again at once.
  CHECK(live(1s) == 0s);
  CHECK(c.violation == "");
}
