// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/worker_state.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "control/story.hpp"
#include "dtask/wire/outbox.hpp"

using namespace story;

namespace {
/// A worker whose coordinator is the test.
struct lone {
  time_point now{1h};
  control::worker_options options;
  control::worker_state state;
  std::vector<wire::message> sent;
  std::vector<control::run_job> runs;
  std::vector<control::stop_job> stops;
  std::vector<control::blob_available> blobs;
  std::vector<control::blob_announced> announced;
  std::vector<control::fetched> fetches;
  std::vector<std::uint64_t> sessions_ended;
  std::optional<control::exit> exited;
  int dials = 0, closes = 0, aborts = 0;
  bool started_first = true;

  static control::worker_options with_digest(control::worker_options o) {
    o.digest = &sum;
    return o;
  }
  explicit lone(std::uint32_t slots, control::worker_options o = {})
      : options(with_digest(o)),
        state({wire::role::worker, "w", "host", 1, slots, 0, {type("a/1"), type("b/1")}}, options, 1) {
    state.start(now);
    take();
  }
  void join(bool resumed = false, std::uint64_t epoch = 1, control::link_id link = 1) {
    state.connected(link, now);
    wire::welcome w;
    w.epoch = epoch;
    w.session = 11;
    w.key = 22;
    w.resumed = resumed;
    w.heartbeat = 1s;
    w.lost_after = 5s;
    w.credit = w.window = 1 << 20;
    get(w, link);
  }
  void get(wire::message m, control::link_id link = 1) {
    state.received(link, std::move(m), now);
    take();
  }
  void take() {
    std::vector<control::worker_action> out;
    for (;;) {
      state.take_actions(out, now);
      if (out.empty()) break;
      for (auto& a : out) {
        if (auto* s = a.get_if<control::send>())
          sent.push_back(std::move(s->what));
        else if (auto* r = a.get_if<control::run_job>()) {
          started_first = started_first && std::any_of(sent.begin(), sent.end(), [&](const wire::message& m) {
                            const auto* s2 = m.get_if<wire::started>();
                            return s2 != nullptr && s2->job == r->job && s2->fence == r->fence;
                          });
          runs.push_back(std::move(*r));
        } else if (auto* t = a.get_if<control::stop_job>())
          stops.push_back(*t);
        else if (auto* b = a.get_if<control::blob_available>())
          blobs.push_back(std::move(*b));
        else if (auto* n = a.get_if<control::blob_announced>())
          announced.push_back(std::move(*n));
        else if (auto* f = a.get_if<control::fetched>())
          fetches.push_back(std::move(*f));
        else if (auto* e = a.get_if<control::session_ended>())
          sessions_ended.push_back(e->session);
        else if (auto* x = a.get_if<control::exit>())
          exited = *x;
        else if (a.get_if<control::dial>() != nullptr)
          ++dials;
        else if (const auto* l = a.get_if<control::close_link>()) {
          ++closes;
          aborts += l->now;
        }
      }
    }
    CHECK(state.check() == "");
  }
  void tick_to(time_point until) {
    while (state.next_tick() <= until) {
      now = std::max(now, state.next_tick());
      state.tick(now);
      take();
      state.received(1, wire::pong{}, now);
    }
    now = until;
  }
  void run(std::uint64_t job, std::uint32_t fence = 1, std::uint64_t session = 5) {
    wire::run r;
    r.job = job;
    r.fence = fence;
    r.session = session;
    get(r);
  }
  template <class M>
  std::vector<M> all() const {
    std::vector<M> out;
    for (const auto& m : sent)
      if (const auto* x = m.get_if<M>()) out.push_back(*x);
    return out;
  }
  void end(std::uint64_t job, std::uint32_t fence = 1, wire::failure why = {}, payload value = {}) {
    state.job_finished(job, fence, std::move(why), std::move(value), now);
    take();
  }
};
wire::blob blob_of(std::uint64_t number, std::string name, std::string value, blob_kind kind = blob_kind::broadcast) {
  const bytes b = bytes::from(value);
  const std::span<const std::byte> run = b.span();
  return {5,
          number,
          kind,
          std::move(name),
          sum(std::span<const std::span<const std::byte>>(&run, 1)),
          {{bytes{}, {b}}, 0, {}}};
}
wire::blob about(std::uint64_t number, std::string name, blob_kind kind) {
  return {5, number, kind, std::move(name), {}, {}};
}
}  // namespace

TEST_CASE("hello names what it can run; started stands before run_job; done follows") {
  lone w(2);
  CHECK(w.dials == 1);
  w.join();
  const auto hello = w.all<wire::hello>();
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].role == wire::role::worker);
  CHECK(hello[0].jobs.size() == 2);
  CHECK(hello[0].slots == 2);
  for (std::uint64_t j = 1; j <= 3; ++j) w.run(j);
  CHECK(w.runs.size() == 2);
  CHECK(w.runs[0].slot != w.runs[1].slot);
  CHECK(w.started_first);
  w.end(1, 1, {}, text("value"));
  CHECK(w.runs.size() == 3);
  CHECK(w.runs[2].slot == w.runs[0].slot);
  REQUIRE(w.all<wire::done>().size() == 1);
  CHECK(w.all<wire::done>()[0].value.whole.body.view() == "value");
}

TEST_CASE("a run that came twice runs once") {
  lone w(2);
  w.join();
  w.run(1);
  w.run(1);
  CHECK(w.runs.size() == 1);
}

TEST_CASE("recall gives back what waits, not what runs") {
  lone w(1);
  w.join();
  w.run(1);
  w.run(2);
  w.get(wire::recall{1, 1});
  w.get(wire::recall{2, 1});
  REQUIRE(w.all<wire::returned>().size() == 1);
  CHECK(w.all<wire::returned>()[0].job == 2);
  w.end(1);
  CHECK(w.runs.size() == 1);
}

TEST_CASE("results wait for credit") {
  lone w(1);
  w.join();
  w.run(1);
  w.end(1, 1, {}, {bytes{}, {bytes::from(std::string(3u << 20, 'x'))}});
  std::size_t arrived = 0;
  for (const auto& c : w.all<wire::chunk>()) arrived += c.data.size();
  CHECK(arrived < (3u << 20));
  w.get(wire::credit{1 << 20});
  w.get(wire::credit{1 << 20});
  w.get(wire::credit{1 << 20});
  arrived = 0;
  for (const auto& c : w.all<wire::chunk>()) arrived += c.data.size();
  CHECK(arrived == (3u << 20));
}

TEST_CASE("a job waits for the broadcasts that were announced before it") {
  lone w(1);
  w.join();
  const std::string value(3u << 20, 'w');
  wire::blob head = blob_of(1, "weights", value);
  head.value = {{}, 9, {0, value.size()}};
  w.get(head);
  w.run(1);
  CHECK(w.runs.empty());
  for (std::size_t at = 0; at < value.size(); at += 1u << 20)
    w.get(wire::chunk{9, at, bytes::copy(value.substr(at, 1u << 20))});
  REQUIRE(w.blobs.size() == 1);
  CHECK(w.blobs[0].value.size() == value.size());
  CHECK(w.runs.size() == 1);
  CHECK(w.all<wire::blob_done>().size() == 1);
  SUBCASE("and skips one that it has") {
    w.get(blob_of(1, "weights", value));
    CHECK(w.blobs.size() == 1);
    CHECK(w.all<wire::blob_done>().size() == 2);
  }
  SUBCASE("a session ends when nothing of it runs") {
    w.get(wire::end_session{5});
    CHECK(w.sessions_ended.empty());
    w.end(1);
    CHECK(w.sessions_ended == std::vector<std::uint64_t>{5});
  }
}

TEST_CASE("values that jobs fetch") {
  control::worker_options options;
  options.broadcast_bytes = 1000;
  lone w(4, options);
  w.join();
  w.get(about(1, "a", blob_kind::published));
  w.get(about(2, "b", blob_kind::published));
  w.run(1);
  const auto fetch = [&w](std::uint64_t request, std::string name) {
    w.state.fetch(request, 5, std::move(name), w.now);
    w.take();
  };
  const auto value = [](std::uint64_t number, std::string name, std::size_t size) {
    return blob_of(number, std::move(name), std::string(size, 'v'), blob_kind::fetched);
  };
  CHECK(w.runs.size() == 1);  // nothing holds it up
  CHECK(w.announced.size() == 2);
  SUBCASE("are asked for once for all that want them") {
    fetch(1, "a");
    fetch(2, "a");
    REQUIRE(w.all<wire::fetch>().size() == 1);
    CHECK(w.all<wire::fetch>()[0].name == "a");
    w.get(value(1, "a", 10));
    REQUIRE(w.fetches.size() == 2);
    CHECK(w.fetches[0].why.code == errc::ok);
    CHECK(w.blobs.size() == 1);
    fetch(3, "a");
    CHECK(w.fetches.size() == 3);
    CHECK(w.all<wire::fetch>().size() == 1);
  }
  SUBCASE("nobody waits any more: the value is kept all the same") {
    fetch(1, "a");
    w.state.forget_fetch(1);
    w.get(value(1, "a", 10));
    CHECK(w.fetches.empty());
    CHECK(w.blobs.size() == 1);
  }
  SUBCASE("withdrawn on the way") {
    fetch(1, "a");
    w.get(about(3, "a", blob_kind::withdrawn));
    REQUIRE(w.fetches.size() == 1);
    CHECK(w.fetches[0].why.code == errc::not_found);
    CHECK(w.all<wire::blob_done>().size() == 1);
    w.get(value(1, "a", 10));
    CHECK(w.blobs.empty());
  }
  SUBCASE("replaced on the way: it is asked for again") {
    fetch(1, "a");
    w.get(about(3, "a", blob_kind::published));
    w.get(value(1, "a", 10));
    CHECK(w.fetches.empty());
    CHECK(w.all<wire::fetch>().size() == 2);
    w.get(value(3, "a", 10));
    CHECK(w.fetches.size() == 1);
  }
  SUBCASE("broadcast on the way: the answer brings nothing new, and the value stays one that does not make room") {
    fetch(1, "a");
    w.get(blob_of(3, "a", std::string(600, 'n')));
    CHECK(w.fetches.size() == 1);
    w.get(blob_of(3, "a", std::string(600, 'n'), blob_kind::fetched));
    CHECK(w.blobs.size() == 1);
    fetch(2, "b");
    w.get(value(2, "b", 500));
    CHECK(w.fetches.back().why.code == errc::too_large);
    fetch(3, "a");
    CHECK(w.fetches.back().why.code == errc::ok);
    CHECK(w.all<wire::fetch>().size() == 2);
  }
  SUBCASE("make room for each other, the least recently used first") {
    fetch(1, "a");
    w.get(value(1, "a", 600));
    fetch(2, "b");
    w.get(value(2, "b", 300));
    fetch(3, "a");
    w.get(about(3, "c", blob_kind::published));
    fetch(4, "c");
    w.get(value(3, "c", 300));
    REQUIRE(w.announced.size() == 4);
    CHECK(w.announced[3].name == "b");
    fetch(5, "b");
    CHECK(w.all<wire::fetch>().size() == 4);
    SUBCASE("and for what is broadcast") {
      w.get(blob_of(9, "weights", std::string(800, 'w')));
      CHECK(w.all<wire::blob_done>().back().why.code == errc::ok);
    }
    SUBCASE("a value that never fits") {
      w.get(about(10, "d", blob_kind::published));
      fetch(6, "d");
      w.get(value(10, "d", 1001));
      CHECK(w.fetches.back().why.code == errc::too_large);
      CHECK(w.fetches.back().why.remedy.find("--broadcast-bytes") != std::string::npos);
    }
  }
  SUBCASE("a broadcast that does not fit: not the older value, but none") {
    w.get(blob_of(9, "weights", std::string(800, 'w')));
    w.get(blob_of(10, "weights", std::string(1200, 'x')));
    CHECK(w.all<wire::blob_done>().back().why.code == errc::too_large);
    CHECK(w.announced.back().name == "weights");
  }
  SUBCASE("a coordinator that does not know this worker any more") {
    fetch(1, "a");
    w.state.closed(1, error(errc::closed, "broken"), w.now);
    w.take();
    w.tick_to(w.now + 2s);
    w.join(false, 2, 2);
    REQUIRE(w.fetches.size() == 1);
    CHECK(w.fetches[0].why.code == errc::coordinator_lost);
  }
  SUBCASE("more of them than a worker lets its jobs wait for") {
    for (std::uint64_t i = 0; i < control::max_fetches; ++i) w.state.fetch(i + 1, 5, "a", w.now);
    fetch(control::max_fetches + 1, "a");
    REQUIRE(w.fetches.size() == 1);
    CHECK(w.fetches[0].why.code == errc::overloaded);
  }
}

TEST_CASE("a broadcast value that was damaged ends the link") {
  lone w(1);
  w.join();
  wire::blob b = blob_of(1, "weights", "good");
  b.value.whole.blobs[0] = bytes::copy("evil");
  w.get(b);
  CHECK(w.blobs.empty());
  CHECK(w.closes == 1);
}

TEST_CASE("after a break the hello says what is left") {
  lone w(1);
  w.join();
  w.run(1);
  w.run(2);
  wire::run half;
  half.job = 3;
  half.fence = 1;
  half.arguments = {{}, 4, {100}};
  w.get(half);
  w.state.closed(1, error(errc::io_error, "reset"), w.now);
  w.end(1, 1, {}, text("kept"));
  CHECK(w.all<wire::done>().empty());
  w.tick_to(w.now + 1s);
  w.sent.clear();
  w.join(true, 1, 2);
  const auto hello = w.all<wire::hello>();
  REQUIRE(hello.size() == 1);
  CHECK(hello[0].session == 11);
  CHECK(hello[0].key == 22);
  std::vector<std::pair<std::uint64_t, bool>> left;
  for (const auto& r : hello[0].running) left.emplace_back(r.job, r.started);
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<std::pair<std::uint64_t, bool>>{{1, true}, {2, true}});
  REQUIRE(w.all<wire::done>().size() == 1);
  CHECK(w.all<wire::done>()[0].value.whole.body.view() == "kept");
  w.get(wire::acknowledge{{1}}, 2);
  w.state.closed(2, error(errc::io_error, "reset"), w.now);
  w.tick_to(w.now + 1s);
  w.sent.clear();
  w.join(true, 1, 3);
  CHECK(w.all<wire::done>().empty());
}

TEST_CASE("a coordinator that does not know it: everything is stopped, slots come back as jobs end") {
  lone w(2);
  w.join();
  w.run(1);
  w.state.closed(1, error(errc::io_error, "reset"), w.now);
  w.tick_to(w.now + 1s);
  w.sent.clear();
  w.join(false, 2, 2);
  CHECK(w.stops.size() == 1);
  REQUIRE(!w.all<wire::slots>().empty());
  CHECK(w.all<wire::slots>().back().usable == 1);
  w.end(1);
  CHECK(w.all<wire::slots>().back().usable == 2);
  CHECK(w.all<wire::done>().empty());
}

TEST_CASE("its deadline stops a job, and one that ignores that is abandoned") {
  lone w(2);
  w.join();
  wire::run r;
  r.job = 1;
  r.fence = 1;
  r.remaining = 2s;
  w.get(r);
  w.tick_to(w.now + 2s);
  REQUIRE(w.stops.size() == 1);
  CHECK(w.stops[0].why == errc::deadline_exceeded);
  w.tick_to(w.now + 5s);
  REQUIRE(w.all<wire::done>().size() == 1);
  CHECK(w.all<wire::done>()[0].why.code == errc::job_abandoned);
  CHECK(w.all<wire::slots>().back().usable == 1);
  CHECK(w.all<wire::slots>().back().lost == 1);
  CHECK(!w.exited);
  w.end(1);
  CHECK(w.all<wire::slots>().back().lost == 0);
  CHECK(w.all<wire::done>().size() == 1);
}

TEST_CASE("a job whose deadline passes while it waits for a slot is not begun") {
  lone w(1);
  w.join();
  w.run(1);
  wire::run late;
  late.job = 2;
  late.fence = 1;
  late.session = 5;
  late.remaining = 2s;
  w.get(late);
  w.now += 2s;  // and the end of the first is handled before a timer
  w.end(1);
  CHECK(w.runs.size() == 1);
  REQUIRE(w.all<wire::done>().size() == 2);
  CHECK(w.all<wire::done>()[1].job == 2);
  CHECK(w.all<wire::done>()[1].why.code == errc::deadline_exceeded);
  CHECK(w.all<wire::done>()[1].why.message == "the deadline passed before the job could start");
}

TEST_CASE("a job that waits for the rest of a value is forgotten with the link that was to bring it") {
  lone w(1);
  w.join();
  wire::blob head = blob_of(1, "weights", "w");
  head.value = {{}, 9, {0, 3u << 20}};
  w.get(head);
  w.run(1);
  w.state.closed(1, error(errc::io_error, "reset"), w.now);
  w.take();
  w.tick_to(w.now + 1s);
  w.join(true, 1, 2);
  REQUIRE(w.all<wire::hello>().size() == 2);
  CHECK(w.all<wire::hello>()[1].running.empty());
  wire::run again;
  again.job = 1;
  again.fence = 2;
  again.session = 5;
  w.get(again, 2);  // placed again, and without a value to wait for
  REQUIRE(w.runs.size() == 1);
  CHECK(w.runs[0].fence == 2);
}

TEST_CASE("no coordinator for a minute: it ends") {
  lone w(1);
  for (int i = 0; i < 200 && !w.exited; ++i) {
    w.state.dial_failed(error(errc::unreachable, "connection refused"), w.now);
    const time_point next = w.state.next_tick();
    REQUIRE(next != never);
    w.now = next;
    w.state.tick(w.now);
    w.take();
  }
  REQUIRE(w.exited.has_value());
  CHECK(w.exited->reason == control::exit_reason::unreachable);
  CHECK(w.now == time_point{1h} + 60s);
  CHECK(w.dials > 55);
  CHECK(w.dials < 100);
}

TEST_CASE("a silent coordinator is left after 5 s, and dialed again") {
  lone w(1);
  w.join();
  w.now += 4999ms;
  w.state.tick(w.now);
  w.take();
  CHECK(w.closes == 0);
  CHECK(w.all<wire::ping>().size() == 1);
  w.now += 1ms;
  w.state.tick(w.now);
  w.take();
  CHECK(w.closes == 1);
  w.state.tick(w.now);
  w.take();
  CHECK(w.dials == 2);
}

TEST_CASE("it says what it holds, when that has changed") {
  lone w(1);
  dtask::memory_use process;
  process.idle = 7;
  w.state.measured(process, w.now);
  w.take();
  CHECK(w.sent.empty());  // nobody to tell
  w.join();
  w.run(1);
  wire::run waiting;
  waiting.job = 2;
  waiting.arguments.whole = text("12345");
  w.get(waiting);
  w.end(1, 1, {}, text("123"));
  w.run(3);
  wire::run last;
  last.job = 4;
  last.arguments.whole = text("12");
  w.get(last);
  for (int twice = 0; twice < 2; ++twice) {
    w.state.measured(process, w.now);
    w.take();
  }
  const auto said = w.all<wire::usage>();
  REQUIRE(said.size() == 1);
  CHECK(said[0].now.idle == 7);
  CHECK(said[0].now.results == 3);
  CHECK(said[0].now.arguments == 2);  // those of 2 are its job's now
  w.get(wire::acknowledge{{1}});
  w.state.measured(process, w.now);
  w.take();
  CHECK(w.all<wire::usage>().back().now.results == 0);
}

TEST_CASE("while results wait for their clients no further job starts") {
  control::worker_options o;
  o.result_bytes = 10;
  lone w(2, o);
  w.join();
  for (std::uint64_t job = 1; job <= 4; ++job) w.run(job);
  REQUIRE(w.runs.size() == 2);
  w.end(1, 1, {}, text("123456"));
  CHECK(w.runs.size() == 3);
  w.end(2, 1, {}, text("123456"));
  CHECK(w.runs.size() == 3);
  w.get(wire::acknowledge{{1}});
  CHECK(w.runs.size() == 4);
}

TEST_CASE("refused for good, or for now") {
  lone w(1);
  w.state.connected(1, w.now);
  SUBCASE("another version") {
    w.get(wire::refuse{errc::version_mismatch, "speaks 2"});
    REQUIRE(w.exited.has_value());
    CHECK(w.exited->reason == control::exit_reason::refused);
  }
  SUBCASE("full") {
    w.get(wire::refuse{errc::overloaded, "too many"});
    CHECK(!w.exited);
    w.tick_to(w.now + 1s);
    CHECK(w.dials == 2);
  }
  SUBCASE("what is no coordinator") {
    w.get(wire::refuse{errc::protocol_error, "what is this"});
    REQUIRE(w.exited.has_value());
  }
}

TEST_CASE("a broken protocol is final only twice in a row for one that has been welcomed") {
  lone w(1);
  w.join();
  w.get(wire::refuse{errc::protocol_error, "a word too much"});
  CHECK(!w.exited);
  w.state.tick(w.now += 1s);
  w.take();
  REQUIRE(w.dials == 2);
  SUBCASE("and again, though welcomed") {
    w.join(false, 1, 2);
    w.get(wire::refuse{errc::protocol_error, "a word too much"}, 2);
    REQUIRE(w.exited.has_value());
    CHECK(w.exited->reason == control::exit_reason::refused);
  }
  SUBCASE("a link has lasted between") {
    w.join(false, 1, 2);
    w.state.tick(w.now += 1s);  // its first heartbeat
    w.take();
    w.get(wire::refuse{errc::protocol_error, "a word too much"}, 2);
    CHECK(!w.exited);
  }
}

TEST_CASE("before the welcome a worker says hello and nothing else; the welcome brings the rest") {
  lone w(2);
  w.join();
  for (std::uint64_t job = 1; job <= 4; ++job) w.run(job);  // 1 and 2 run, 3 and 4 wait
  w.state.closed(1, error(errc::io_error, "reset"), w.now);
  w.state.tick(w.now += 1s);
  w.take();
  w.sent.clear();
  w.state.connected(2, w.now);
  w.take();
  REQUIRE(w.sent.size() == 1);
  REQUIRE(w.all<wire::hello>().size() == 1);
  SUBCASE("a job ends, the next begins") {
    w.end(1);
    CHECK(w.runs.back().job == 3);
    CHECK(w.sent.size() == 1);
    w.join(true, 1, 2);
    REQUIRE(w.all<wire::started>().size() == 1);
    CHECK(w.all<wire::started>()[0].job == 3);
    REQUIRE(w.all<wire::done>().size() == 1);
    CHECK(w.all<wire::done>()[0].job == 1);
  }
  SUBCASE("it is told to leave") {
    w.state.drain(w.now);
    w.take();
    CHECK(w.sent.size() == 1);
    w.join(true, 1, 2);
    CHECK(w.all<wire::drain>().size() == 1);
    CHECK(w.all<wire::returned>().size() == 2);
    CHECK(w.all<wire::started>().empty());
  }
  SUBCASE("it was told to leave, and that link breaks too: the next hello does not name what went back") {
    w.state.drain(w.now);
    w.take();
    w.state.closed(2, error(errc::io_error, "reset"), w.now);
    w.state.tick(w.now += 1s);
    w.take();
    w.state.connected(3, w.now);
    w.take();
    CHECK(w.all<wire::hello>().back().running.size() == 2);
    w.join(true, 1, 3);
    CHECK(w.all<wire::returned>().empty());
  }
  SUBCASE("it ends at once") {
    w.state.stop(w.now);
    w.take();
    CHECK(w.sent.size() == 1);
    REQUIRE(w.exited.has_value());
  }
}

TEST_CASE("drain: running jobs may end, then they are stopped, then it leaves anyway") {
  control::worker_options o;
  o.drain_within = 10s;
  lone w(1, o);
  w.join();
  w.run(1);
  w.run(2);
  w.state.drain(w.now);
  w.take();
  CHECK(w.all<wire::returned>().size() == 1);
  w.run(3);
  CHECK(w.all<wire::returned>().size() == 2);
  SUBCASE("they end") {
    w.end(1);
    CHECK(!w.exited);  // its result has not been acknowledged
    w.get(wire::acknowledge{{1}});
    REQUIRE(w.exited.has_value());
    CHECK(w.exited->reason == control::exit_reason::drained);
  }
  SUBCASE("they do not") {
    w.tick_to(w.now + 10s);
    CHECK(w.stops.size() == 1);
    w.tick_to(w.now + 8s);
    CHECK(w.exited.has_value());
  }
}

TEST_CASE("drain: results that nobody will take do not hold a worker whose coordinator is gone") {
  lone w(1);
  w.join();
  w.run(1);
  w.end(1);
  w.run(2);
  w.state.closed(1, error(errc::io_error, "reset"), w.now);
  w.take();
  SUBCASE("stopped long after") {
    w.end(2);
    w.tick_to(w.now + 6s);
    CHECK(!w.exited);
    w.state.drain(w.now);
    w.take();
  }
  SUBCASE("stopped before: it may come back") {
    w.end(2);
    w.state.drain(w.now);
    w.tick_to(w.now + 4999ms);
    CHECK(!w.exited);
    w.tick_to(w.now + 1ms);
  }
  SUBCASE("stopped before, while a job runs") {
    w.state.drain(w.now);
    w.tick_to(w.now + 6s);
    CHECK(!w.exited);
    w.end(2);
  }
  REQUIRE(w.exited.has_value());
  CHECK(w.exited->reason == control::exit_reason::drained);
}

TEST_CASE("drain: a coordinator that takes no results does not hold a worker longer than the stated time") {
  control::worker_options o;
  o.drain_within = 10s;
  lone w(1, o);
  w.join();
  w.run(1);
  w.state.drain(w.now);
  w.take();
  w.end(1);  // and is never acknowledged
  w.tick_to(w.now + 10s);
  CHECK(!w.exited);
  w.tick_to(w.now + o.abandon_after + o.abandon_after / 2);
  REQUIRE(w.exited.has_value());
  CHECK(w.exited->reason == control::exit_reason::drained);
  CHECK(w.exited->why.code() == errc::deadline_exceeded);
}

TEST_CASE(
    "drain: once the coordinator has said goodbye nobody takes what still runs: it is stopped, and the worker leaves") {
  lone w(1);
  w.join();
  w.run(1);
  w.get(wire::drain{});
  CHECK(!w.exited);
  CHECK(w.stops.empty());
  w.get(wire::goodbye{"the coordinator ends"});
  CHECK(w.stops.size() == 1);
  REQUIRE(w.exited.has_value());
  CHECK(w.exited->reason == control::exit_reason::drained);
}

TEST_CASE("a worker that was not welcomed ends its link without a wait for the other side") {
  lone w(1);
  w.state.connected(1, w.now);
  w.take();
  w.state.stop(w.now);
  w.take();
  CHECK(w.exited);
  CHECK(w.closes == 1);
  CHECK(w.aborts == 1);
}

TEST_CASE("a worker may wait longer for its first welcome than for another one") {
  control::worker_options o;
  o.unreachable_after = 4s;
  o.first_reach_within = 100s;
  lone w(1, o);
  const auto alone_for = [&w](duration d) {
    for (const time_point until = w.now + d; w.now < until && !w.exited; w.tick_to(w.now + 500ms))
      w.state.dial_failed(error(errc::unreachable, "connection refused"), w.now);
  };
  SUBCASE("the first") {
    alone_for(99s);
    CHECK(!w.exited);
    alone_for(2s);
  }
  SUBCASE("another one") {
    w.join();
    w.state.closed(1, error(errc::io_error, "reset"), w.now);
    alone_for(3s);
    CHECK(!w.exited);
    alone_for(2s);
  }
  REQUIRE(w.exited.has_value());
  CHECK(w.exited->reason == control::exit_reason::unreachable);
}

TEST_CASE("a result over the limit is an error that names it") {
  control::worker_options o;
  o.limits.payload = 1000;
  lone w(1, o);
  w.state.connected(1, w.now);
  wire::welcome m;
  m.limits = o.limits;
  m.credit = m.window = 1 << 20;
  w.get(m);
  w.run(1);
  w.end(1, 1, {}, text(std::string(2000, 'x')));
  REQUIRE(w.all<wire::done>().size() == 1);
  CHECK(w.all<wire::done>()[0].why.code == errc::too_large);
}

TEST_CASE("more attempts than a hello holds: it names those that have run, and forgets the rest") {
  lone w(1);
  w.join();
  constexpr std::uint64_t most = 25'000;
  for (std::uint64_t job = 1; job <= most; ++job) {
    wire::run r;
    r.job = job;
    r.fence = 1;
    r.session = 5;
    w.state.received(1, std::move(r), w.now);
  }
  w.take();
  REQUIRE(w.runs.size() == 1);
  w.end(w.runs[0].job);  // not acknowledged
  REQUIRE(w.runs.size() == 2);
  w.state.closed(1, error(errc::io_error, "reset"), w.now);
  w.take();
  w.now += 1s;
  w.state.tick(w.now);
  w.take();
  w.state.connected(2, w.now);
  w.take();
  const wire::hello h = w.all<wire::hello>().back();
  CHECK(h.running.size() > 15'000);
  CHECK(h.running.size() < most);
  CHECK(h.running[0].job == w.runs[1].job);
  CHECK(h.running[0].started);
  CHECK(h.running[1].job == w.runs[0].job);
  CHECK(h.running[1].started);
  wire::outbox out;
  CHECK(!out.push(h, wire::limits{}));
  // What was not named is not run: somebody else may have it by now.
  wire::welcome back;
  back.epoch = 1;
  back.session = 11;
  back.resumed = true;
  w.get(back, 2);
  std::size_t ran = 0;
  while (ran < w.runs.size()) {
    ran = w.runs.size();
    std::vector<control::worker_action> ignored;
    w.state.job_finished(w.runs.back().job, 1, {}, {}, w.now);
    w.state.take_actions(ignored, w.now);
    for (auto& a : ignored)
      if (auto* r = a.get_if<control::run_job>()) w.runs.push_back(std::move(*r));
  }
  CHECK(ran == h.running.size());
  CHECK(w.state.check() == "");
}

TEST_CASE("a job number that the worker does not have is an answer, and takes no slot") {
  lone w(1);
  w.join();
  wire::run r;
  r.job = 1;
  r.fence = 4;
  r.session = 5;
  r.type = 2;  // it has 0 and 1
  w.get(r);
  CHECK(w.runs.empty());
  REQUIRE(w.all<wire::done>().size() == 1);
  CHECK(w.all<wire::done>()[0].job == 1);
  CHECK(w.all<wire::done>()[0].fence == 4);
  CHECK(w.all<wire::done>()[0].why.code == errc::unknown_job);
  CHECK(!w.all<wire::done>()[0].why.place.empty());
  w.run(2);
  CHECK(w.runs.size() == 1);
}

TEST_CASE("what the coordinator takes back in the middle: arguments, a broadcast, a fetched value") {
  lone w(1);
  w.join();
  w.get(wire::abort_transfer{77, {}});  // of nothing that is on its way
  CHECK(w.closes == 0);
  SUBCASE("arguments: the job goes back, and the rest of its bytes is ignored") {
    wire::run r;
    r.job = 1;
    r.fence = 1;
    r.session = 5;
    r.arguments = wire::announce({0, 4}, 9);
    w.get(r);
    w.get(wire::chunk{9, 0, bytes::copy("ab")});
    w.get(wire::abort_transfer{9, {}});
    REQUIRE(w.all<wire::returned>().size() == 1);
    CHECK(w.all<wire::returned>()[0].job == 1);
    w.get(wire::chunk{9, 2, bytes::copy("cd")});
    CHECK(w.runs.empty());
    CHECK(w.closes == 0);
  }
  SUBCASE("a broadcast: the jobs that waited for it run without it") {
    wire::blob head = blob_of(1, "weights", "abcd");
    head.value = wire::announce({0, 4}, 9);
    w.get(head);
    w.run(1);
    CHECK(w.runs.empty());
    w.get(wire::abort_transfer{9, {}});
    CHECK(w.runs.size() == 1);
    CHECK(w.blobs.empty());
  }
  SUBCASE("a fetched value: it is asked for again") {
    w.get(about(1, "a", blob_kind::published));
    w.state.fetch(1, 5, "a", w.now);
    w.take();
    REQUIRE(w.all<wire::fetch>().size() == 1);
    wire::blob head = blob_of(1, "a", "abcd", blob_kind::fetched);
    head.value = wire::announce({0, 4}, 9);
    w.get(head);
    w.get(wire::abort_transfer{9, {}});
    CHECK(w.fetches.empty());
    REQUIRE(w.all<wire::fetch>().size() == 2);
    w.get(blob_of(1, "a", "abcd", blob_kind::fetched));
    REQUIRE(w.fetches.size() == 1);
    CHECK(w.fetches[0].why.code == errc::ok);
  }
}
