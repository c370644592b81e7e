// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/cluster.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "dtask/node/coordinator.hpp"
#include "dtask/node/query_status.hpp"
#include "dtask/node/worker.hpp"
#include "dtask/process/spawned.hpp"
#include "dtask/runtime/co_spawn.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/task/when_any.hpp"
#include "dtask/task/with_timeout.hpp"
#include "node/number_generator.hpp"

using namespace std::chrono_literals;

namespace {

// A gate that jobs of this process pass when the test lets them.
class gate {
 public:
  void open() {
    const std::lock_guard hold(guard_);
    open_ = true;
    changed_.notify_all();
  }
  void shut() {
    const std::lock_guard hold(guard_);
    open_ = false;
    arrived_ = 0;
  }
  void pass() {
    std::unique_lock hold(guard_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait_for(hold, 60s, [this] { return open_; });
  }
  int arrivals() {
    const std::lock_guard hold(guard_);
    return arrived_;
  }
  void wait_for_arrivals(int n) {
    std::unique_lock hold(guard_);
    REQUIRE(changed_.wait_for(hold, 60s, [&] { return arrived_ >= n; }));
  }

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  bool open_ = false;
  int arrived_ = 0;
};
gate jobs_gate;

struct image {
  std::string id;
  dtask::bytes jpeg;
};
struct label {
  std::string id;
  int made = 0;
  std::string weights;
};
std::atomic<int> objects_made{0};
struct classify : dtask::job<"classify/1", dtask::idempotent> {
  explicit classify(dtask::worker_context& w) : weights(w.blob("weights")), made(++objects_made) {}
  dtask::task<label> operator()(dtask::job_context& ctx, image in) {
    const std::string id = in.id + (ctx.attempt() == 1 ? "" : "!");
    co_return label{id, made, std::string(weights.view())};
  }
  dtask::bytes weights;
  int made;
};
struct broken_object : dtask::job<"broken_object/1"> {
  broken_object() { throw std::logic_error("cannot be made"); }
  int operator()() { return 1; }
};
double score(double a, double b) { return a * b; }
void nothing() {}
dtask::bytes echo(dtask::bytes b) { return b; }
int fails(int what) {
  if (what == 1) throw std::out_of_range("no such thing");
  if (what == 2) throw 5;
  throw dtask::error(dtask::errc::not_found, "a file", "there", "look elsewhere");
}
int big_numbers(unsigned n) { return static_cast<int>(n % 1000); }
struct says_nothing : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
struct ours_says_nothing : dtask::error {
  const char* what() const noexcept override { return nullptr; }
};
void throws_nothing(bool ours) {
  if (ours) throw ours_says_nothing();
  throw says_nothing();
}
struct cannot_be_written {
  int value = 0;
  template <class A>
  void save(A& a) const {
    if (value == 1) throw std::runtime_error("no words for it");
    if (value == 2) throw says_nothing();
    a(value);
  }
  template <class A>
  void load(A& a) {
    a(value);
    if (value == 3) throw says_nothing();
  }
};
cannot_be_written speak(int value) { return {value}; }
void hear(const cannot_be_written&) {}
cannot_be_written unspeakable() { return {1}; }
dtask::task<int> waits_for_stop(dtask::job_context& ctx) {
  jobs_gate.pass();
  co_await dtask::sleep_for(60s);
  co_return static_cast<int>(ctx.attempt());
}
int ignores_stop() {
  jobs_gate.pass();
  return 1;
}

// Passes the gate and lasts until it is stopped.
dtask::task<int> lasts(int n) {
  jobs_gate.pass();
  co_await dtask::sleep_for(24h);
  co_return n;
}
std::atomic<int> gated_runs{0};
int gated(int n) {
  ++gated_runs;
  jobs_gate.pass();
  return n;
}

using score_job = dtask::function_job<"score/1", &score, dtask::pure>;
using nothing_job = dtask::function_job<"nothing/1", &nothing>;
using echo_job = dtask::function_job<"echo/1", &echo, dtask::pure>;
using fails_job = dtask::function_job<"fails/1", &fails>;
using numbers_job = dtask::function_job<"numbers/1", &big_numbers, dtask::pure>;
using throws_nothing_job = dtask::function_job<"throws_nothing/1", &throws_nothing>;
using speak_job = dtask::function_job<"speak/1", &speak>;
using hear_job = dtask::function_job<"hear/1", &hear>;
using unspeakable_job = dtask::function_job<"unspeakable/1", &unspeakable>;
using waiting_job = dtask::function_job<"waiting/1", &waits_for_stop>;
void throws_ours() { throw dtask::error(dtask::errc::io_error, "no paper"); }
using throws_ours_job = dtask::function_job<"throws_ours/1", &throws_ours>;
using stubborn_job = dtask::function_job<"stubborn/1", &ignores_stop>;
using stranger_job = dtask::function_job<"stranger/1", &nothing>;
using lasting_job = dtask::function_job<"lasting/1", &lasts>;
using gated_job = dtask::function_job<"gated/1", &gated>;

// Jobs that are clients. The first gives the options while it is no task yet, the second connects inside of one.
dtask::task<double> one_call(std::string url, bool allowed) {
  dtask::cluster_options options;
  options.inside_jobs = allowed;
  auto connecting = dtask::cluster::connect<dtask::registry<score_job>>(url, options);
  dtask::cluster c = co_await std::move(connecting);
  const double score = co_await c.call<score_job>(3.0, 4.0);
  co_await c.close();
  co_return score;
}
double connects(std::string url, bool allowed) {
  dtask::cluster_options options;
  options.inside_jobs = allowed;
  auto c = dtask::sync_wait(dtask::cluster::connect<dtask::registry<score_job>>(url, options));
  const double score = dtask::sync_wait(c.call<score_job>(3.0, 4.0));
  dtask::sync_wait(c.close());
  return score;
}
double connects_in_a_loop(std::string url, bool allowed) { return dtask::sync_wait(one_call(url, allowed)); }
dtask::task<double> connects_later(std::string url, bool allowed) {
  // Somewhere on the pool of the jobs, not where it began.
  for (int i = 0; i < 20; ++i) co_await dtask::sleep_for(1us);
  auto call = one_call(url, allowed);
  co_return co_await std::move(call);
}
struct connects_when_made : dtask::job<"connects_when_made/1"> {
  connects_when_made() : score(dtask::sync_wait(one_call("local://1", false))) {}
  double operator()() { return score; }
  double score;
};
std::size_t asks(std::string url) { return dtask::sync_wait(dtask::query_status(url)).workers.size(); }
using connects_job = dtask::function_job<"connects/1", &connects>;
using connects_in_a_loop_job = dtask::function_job<"connects_in_a_loop/1", &connects_in_a_loop>;
using connects_later_job = dtask::function_job<"connects_later/1", &connects_later>;
using asks_job = dtask::function_job<"asks/1", &asks>;

using jobs =
    dtask::registry<classify, broken_object, score_job, nothing_job, echo_job, fails_job, numbers_job, unspeakable_job,
                    waiting_job, stubborn_job, throws_ours_job, throws_nothing_job, speak_job, hear_job, lasting_job,
                    gated_job, connects_job, connects_in_a_loop_job, connects_later_job, connects_when_made, asks_job>;

template <class Body>
void on(const char* url, Body body, dtask::cluster_options options = {}) {
  dtask::work_pool pool(2);
  auto all = [](const char* where, Body& b, dtask::cluster_options o) -> dtask::task<> {
    auto connecting = dtask::cluster::connect<jobs>(where, o);
    dtask::cluster c = co_await std::move(connecting);
    auto running = b(c);
    co_await std::move(running);
    co_await c.close();
  };
  dtask::sync_wait(pool, dtask::with_timeout(all(url, body, options), 100s));
}
// In this process, and over TCP.
template <class Body>
void near_and_far(std::uint32_t slots, Body body) {
  SUBCASE("local") { on(("local://" + std::to_string(slots)).c_str(), body); }
  SUBCASE("over TCP") {
    dtask::coordinator coordinator;
    dtask::worker worker(coordinator.url(), jobs::entries(), {.slots = slots});
    on(coordinator.url().c_str(), body);
  }
}
dtask_test::number_generator numbers_then_error(int end) {
  for (int i = 0; i < end; ++i) co_yield i;
  jobs_gate.open();
  throw std::runtime_error("cannot read on");
}

}  // namespace

TEST_CASE("cluster: calls, with the arguments or the fields of the one aggregate") {
  on("local://2", [](dtask::cluster& c) -> dtask::task<> {
    const double s = co_await c.call<score_job>(2, 3.5f);
    CHECK(s == 7.0);
    co_await c.call<nothing_job>();
    const auto big = dtask::bytes::from(std::string(3'000'000, 'x'));
    const auto back = co_await c.call<echo_job>(big);
    CHECK(back == big);
    const auto o = co_await c.try_call<score_job>(1.0, 1.0);
    REQUIRE(o);
    CHECK(o.attempts() == 1);
    CHECK(o.worker().find("/local#") != std::string::npos);
  });
}

TEST_CASE("cluster: what a job throws reaches the caller with type, message and place") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    const auto first = co_await c.try_call<fails_job>(1);
    REQUIRE_FALSE(first);
    CHECK(first.error().code() == dtask::errc::job_failed);
    CHECK(first.error().type() == "std::out_of_range");
    CHECK(first.error().message() == "no such thing");
    CHECK(first.error().place().find("attempt 1") != std::string::npos);
    CHECK(first.attempts() == 1);
    const auto second = co_await c.try_call<fails_job>(2);
    CHECK(second.error().type() == "int");
    const auto third = co_await c.try_call<fails_job>(3);
    CHECK(third.error().code() == dtask::errc::job_failed);
    CHECK(third.error().message() == "a file (there): look elsewhere");
    const auto fourth = co_await c.try_call<broken_object>();
    CHECK(fourth.error().type() == "std::logic_error");
    const auto fifth = co_await c.try_call<unspeakable_job>();
    CHECK(fifth.error().code() == dtask::errc::encode_failed);
    CHECK(fifth.error().message().find("no words for it") != std::string::npos);
    bool thrown = false;
    try {
      const int none = co_await c.call<fails_job>(1);
      CHECK(none == 0);
    } catch (const dtask::remote_error& e) {
      thrown = e.type() == "std::out_of_range";
    }
    CHECK(thrown);
  });
}

TEST_CASE("cluster: an exception whose what() is null is a failure like others, wherever it is thrown") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    for (const bool ours : {false, true}) {
      const auto thrown = co_await c.try_call<throws_nothing_job>(ours);
      REQUIRE_FALSE(thrown);
      CHECK(thrown.error().code() == dtask::errc::job_failed);
      CHECK(thrown.error().type().find(ours ? "ours_says_nothing" : "says_nothing") != std::string::npos);
      CHECK(thrown.error().message().find("whose what() is null") != std::string::npos);
    }
    // The codec's four places: the result on the worker and here, the argument here and on the worker.
    for (const int value : {2, 3}) {
      const auto code = value == 2 ? dtask::errc::encode_failed : dtask::errc::decode_failed;
      const auto said = co_await c.try_call<speak_job>(value);
      REQUIRE_FALSE(said);
      CHECK(said.error().code() == code);
      CHECK(std::string(said.error().what()).find("whose what() is null") != std::string::npos);
      const cannot_be_written argument{value};
      const auto heard = co_await c.try_call<hear_job>(argument);
      REQUIRE_FALSE(heard);
      CHECK(heard.error().code() == code);
      CHECK(std::string(heard.error().what()).find("whose what() is null") != std::string::npos);
    }
  });
}

TEST_CASE("cluster: a result larger than the limit, and an argument") {
  dtask::cluster_options small;
  small.worker.limits.payload = 100'000;
  on(
      "local://1",
      [](dtask::cluster& c) -> dtask::task<> {
        const auto good = dtask::bytes::from(std::string(50'000, 'x'));
        const auto fits = co_await c.try_call<echo_job>(good);
        CHECK(fits);
      },
      small);
  small.client.limits.payload = 100'000;
  on(
      "local://1",
      [](dtask::cluster& c) -> dtask::task<> {
        const auto big = dtask::bytes::from(std::string(200'000, 'x'));
        const auto refused = co_await c.try_call<echo_job>(big);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code() == dtask::errc::too_large);
      },
      small);
}

TEST_CASE("cluster: broadcasts reach job objects, which are made anew for a new value") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    const auto without = co_await c.try_call<classify>("a", dtask::bytes());
    REQUIRE_FALSE(without);
    CHECK(without.error().message().find("no broadcast named 'weights'") != std::string::npos);
    const int before = objects_made;
    co_await c.broadcast("weights", dtask::bytes::copy("one"));
    const label first = co_await c.call<classify>("a", dtask::bytes());
    const label again = co_await c.call<classify>("b", dtask::bytes());
    CHECK(first.weights == "one");
    CHECK(again.made == first.made);
    CHECK(objects_made == before + 1);
    co_await c.broadcast("unrelated", dtask::bytes::copy("x"));
    const label same = co_await c.call<classify>("c", dtask::bytes());
    CHECK(same.made == first.made);
    co_await c.broadcast("weights", dtask::bytes::copy("two"));
    const label newer = co_await c.call<classify>("d", dtask::bytes());
    CHECK(newer.weights == "two");
    CHECK(newer.made != first.made);
  });
}

TEST_CASE("cluster: a job that is not in the registry is an error that says so") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    const auto o = co_await c.try_call<stranger_job>();
    REQUIRE_FALSE(o);
    CHECK(o.error().code() == dtask::errc::unknown_job);
    CHECK(std::string(o.error().what()).find("registry") != std::string::npos);
  });
}

TEST_CASE("map: in order, and as they come") {
  on("local://2", [](dtask::cluster& c) -> dtask::task<> {
    auto squares = std::views::iota(0u, 500u);
    auto in_order = c.map<numbers_job>(squares, {.window = 7});
    unsigned expected = 0;
    while (auto r = co_await in_order.next()) {
      CHECK(r->value() == static_cast<int>(expected));
      CHECK(in_order.position() == expected);
      ++expected;
    }
    CHECK(expected == 500);
    std::vector<std::tuple<double, double>> pairs;
    for (int i = 0; i < 300; ++i) pairs.emplace_back(i, 2.0);
    std::vector<bool> seen(pairs.size(), false);
    auto any_order = c.map<score_job>(pairs, {.order = dtask::unordered, .window = 32});
    while (auto r = co_await any_order.next()) {
      const auto at = static_cast<std::size_t>(any_order.position());
      CHECK(r->value() == static_cast<double>(at) * 2.0);
      CHECK_FALSE(seen[at]);
      seen[at] = true;
    }
    CHECK(std::ranges::all_of(seen, std::identity()));
    auto none = c.map<numbers_job>(std::vector<unsigned>());
    const auto nothing_comes = co_await none.next();
    CHECK_FALSE(nothing_comes);
  });
}

TEST_CASE("map: the window bounds what is taken from the range, and items fail alone") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    int made = 0;
    auto counted = std::views::iota(0, 100) | std::views::transform([&made](int i) {
                     ++made;
                     return i % 10 == 3 ? 1 : 2;
                   });
    auto out = c.map<fails_job>(counted, {.window = 4});
    auto first = co_await out.next();
    REQUIRE(first);
    CHECK(made <= 5);
    CHECK_FALSE(*first);
    int results = 1;
    while (auto r = co_await out.next()) {
      CHECK(r->error().type() == (results % 10 == 3 ? "std::out_of_range" : "int"));
      ++results;
    }
    CHECK(results == 100);
  });
}

TEST_CASE("map: what the range throws comes out of next") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    auto broken = std::views::iota(0u, 10u) | std::views::transform([](unsigned i) {
                    if (i == 5) throw std::runtime_error("no item 5");
                    return i;
                  });
    auto out = c.map<numbers_job>(broken, {.window = 2});
    int results = 0;
    std::string said;
    try {
      while (auto r = co_await out.next()) ++results;
    } catch (const std::runtime_error& e) {
      said = e.what();
    }
    CHECK(said == "no item 5");
    CHECK(results <= 5);
  });
}

TEST_CASE("map: after its range has thrown, what is under way arrives at its position, then next() throws once") {
  near_and_far(2, [](dtask::cluster& c) -> dtask::task<> {
    for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
      // No job has ended when the range throws.
      jobs_gate.shut();
      auto out = c.map<gated_job>(numbers_then_error(6), {.order = order, .window = 8});
      std::set<int> seen;
      std::string said;
      try {
        while (auto r = co_await out.next()) {
          CHECK(r->value() == static_cast<int>(out.position()));
          seen.insert(r->value());
        }
      } catch (const std::runtime_error& e) {
        said = e.what();
      }
      CHECK(said == "cannot read on");
      CHECK(seen == std::set{0, 1, 2, 3, 4, 5});
      const auto after = co_await out.next();
      CHECK_FALSE(after);
    }
  });
}

TEST_CASE("map: a next() that timed out loses nothing and runs nothing twice") {
  near_and_far(2, [](dtask::cluster& c) -> dtask::task<> {
    for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
      jobs_gate.shut();
      gated_runs = 0;
      auto out = c.map<gated_job>(std::views::iota(0, 20), {.order = order, .window = 5});
      for (int i = 0; i < 2; ++i) {
        dtask::errc said{};
        auto hasty = dtask::with_timeout(out.next(), 10ms);
        try {
          const auto none = co_await std::move(hasty);
          CHECK_FALSE(none);
        } catch (const dtask::error& e) {
          said = e.code();
        }
        CHECK(said == dtask::errc::deadline_exceeded);
      }
      jobs_gate.open();
      std::set<std::uint64_t> positions;
      for (int i = 0; i < 20; ++i) {
        const auto r = co_await out.next();
        REQUIRE(r);
        REQUIRE(r->has_value());
        CHECK(r->value() == static_cast<int>(out.position()));
        if (order == dtask::ordered) CHECK(out.position() == static_cast<std::uint64_t>(i));
        positions.insert(out.position());
      }
      CHECK(positions.size() == 20);
      CHECK(gated_runs == 20);
      const auto after = co_await out.next();
      CHECK_FALSE(after);
    }
  });
}

TEST_CASE("map: cancel() from another task, and destroying the stream, end what is under way") {
  near_and_far(1, [](dtask::cluster& c) -> dtask::task<> {
    for (int round = 0; round < 10; ++round) {
      jobs_gate.shut();
      jobs_gate.open();
      auto out = c.map<lasting_job>(std::views::iota(0, 100), {.order = dtask::unordered, .window = 4});
      const auto take = [](dtask::map_stream<int>& from) -> dtask::task<int> {
        int cancelled = 0;
        while (auto r = co_await from.next())
          if (!*r && r->error().code() == dtask::errc::cancelled) ++cancelled;
        co_return cancelled;
      };
      const auto cancel = [](dtask::map_stream<int>& what, bool early) -> dtask::task<int> {
        if (!early) jobs_gate.wait_for_arrivals(1);
        what.cancel();
        co_return 0;
      };
      const auto [cancelled, done] = co_await dtask::when_all(take(out), cancel(out, round % 2 == 1));
      CHECK(done == 0);
      CHECK(cancelled <= 4);
      if (round % 2 == 0) CHECK(cancelled >= 1);
    }
    {
      jobs_gate.shut();
      jobs_gate.open();
      auto out = c.map<lasting_job>(std::views::iota(0, 100), {.window = 4});
      while (jobs_gate.arrivals() == 0) {
        auto hasty = dtask::with_timeout(out.next(), 1ms);
        try {
          const auto none = co_await std::move(hasty);
          FAIL("a job that lasts has ended");
        } catch (const dtask::error& e) {
          CHECK(e.code() == dtask::errc::deadline_exceeded);
        }
      }
    }
    // The slot is free again.
    const double s = co_await c.call<score_job>(1.0, 1.0);
    CHECK(s == 1.0);
  });
}

TEST_CASE("cluster: a client inside a job is an error that says so, unless an option allows it") {
  dtask::coordinator coordinator;
  dtask::worker worker(coordinator.url(), jobs::entries(), {.slots = 2});
  const std::string tcp = coordinator.url();
  const std::vector<std::string> urls = {tcp, "local://1", "spawn://1"}, allowed = {tcp, "local://1"};
  on(tcp.c_str(), [&](dtask::cluster& c) -> dtask::task<> {
    const auto refused = [](const auto& end) {
      REQUIRE_FALSE(end);
      CHECK(end.error().type() == "dtask::error");
      const std::string said = end.error().message();
      CAPTURE(said);
      CHECK(said.find("a job cannot be a client of a cluster") != std::string::npos);
      CHECK(said.find("cluster_options::inside_jobs") != std::string::npos);
    };
    for (const std::string& url : urls) {
      const auto direct = co_await c.try_call<connects_job>(url, false);
      refused(direct);
      const auto loop = co_await c.try_call<connects_in_a_loop_job>(url, false);
      refused(loop);
      const auto later = co_await c.try_call<connects_later_job>(url, false);
      refused(later);
    }
    const auto made = co_await c.try_call<connects_when_made>();
    refused(made);
    // One of the two slots is free for what the job calls.
    for (const std::string& url : allowed) {
      const double direct = co_await c.call<connects_job>(url, true);
      CHECK(direct == 12.0);
      const double loop = co_await c.call<connects_in_a_loop_job>(url, true);
      CHECK(loop == 12.0);
      const double later = co_await c.call<connects_later_job>(url, true);
      CHECK(later == 12.0);
    }
    // An observer needs no slot.
    const std::size_t workers = co_await c.call<asks_job>(tcp);
    CHECK(workers == 1);
  });
}

TEST_CASE("submit: a handle with result, state and cancel") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    auto good = co_await c.submit<score_job>(2.0, 2.0);
    const double value = co_await good.result();
    CHECK(value == 4.0);
    CHECK(good.state() == dtask::job_state::finished);
    jobs_gate.shut();
    auto running = co_await c.submit<waiting_job>();
    auto queued = co_await c.submit<waiting_job>();
    jobs_gate.wait_for_arrivals(1);
    queued.cancel();
    const auto q = co_await queued.outcome();
    CHECK(q.error().code() == dtask::errc::cancelled);
    CHECK(q.attempts() == 0);
    jobs_gate.open();
    running.cancel();
    const auto r = co_await running.outcome();
    CHECK(r.error().code() == dtask::errc::cancelled);
    CHECK(r.attempts() == 1);
  });
}

namespace {
template <class Operation>
dtask::task<dtask::errc> code_of(Operation t) {
  try {
    static_cast<void>(co_await std::move(t));
  } catch (const dtask::error& e) {
    co_return e.code();
  }
  co_return dtask::errc::ok;
}
}  // namespace

TEST_CASE("submit: the end of a job is given once, and a second await says so") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    using dtask::errc;
    const auto words = dtask::bytes::from(std::string("words"));
    {
      auto h = co_await c.submit<echo_job>(words);
      auto dropped = h.outcome();
      {
        auto gone = std::move(dropped);
      }  // never awaited: it has taken nothing
      const auto first = co_await h.outcome();
      REQUIRE(first);
      CHECK(*first == words);
      for (int i = 0; i < 2; ++i) {
        std::string said;
        try {
          const auto again = co_await h.outcome();
          CHECK(again.has_value());
        } catch (const dtask::error& e) {
          CHECK(e.code() == errc::invalid_argument);
          said = e.what();
        }
        CHECK(said.find("the end of this job was given already") != std::string::npos);
      }
      const auto result = co_await code_of(h.result());
      CHECK(result == errc::invalid_argument);
      CHECK(h.state() == dtask::job_state::finished);
    }
    {
      auto h = co_await c.submit<fails_job>(1);
      const auto failed = co_await code_of(h.result());
      CHECK(failed == errc::job_failed);
      const auto again = co_await code_of(h.outcome());
      CHECK(again == errc::invalid_argument);
    }
    {
      // One that is stopped cancels the job and drops its end.
      jobs_gate.open();
      auto h = co_await c.submit<waiting_job>();
      auto stopped = dtask::with_timeout(h.outcome(), 10ms);
      const auto late = co_await code_of(std::move(stopped));
      CHECK(late == errc::deadline_exceeded);
      const auto again = co_await code_of(h.outcome());
      CHECK(again == errc::invalid_argument);
    }
    {
      // Two at once.
      jobs_gate.shut();
      auto h = co_await c.submit<waiting_job>();
      jobs_gate.wait_for_arrivals(1);
      jobs_gate.open();
      std::vector<dtask::task<errc>> both;
      for (int i = 0; i < 2; ++i) both.push_back(code_of(h.result()));
      auto ended = co_await dtask::when_any(std::move(both));
      CHECK(ended.first().value() == errc::invalid_argument);
    }
  });
}

TEST_CASE("submit: of a handle that was moved from everything ends with `closed`, or does nothing") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    auto h = co_await c.submit<score_job>(2.0, 2.0);
    auto taken = std::move(h);
    CHECK(h.state() == dtask::job_state::finished);
    h.cancel();
    const auto result = co_await code_of(h.result());
    CHECK(result == dtask::errc::closed);
    const auto outcome = co_await code_of(h.outcome());
    CHECK(outcome == dtask::errc::closed);
    // One that has a job again.
    auto next = co_await c.submit<score_job>(3.0, 3.0);
    h = std::move(next);
    CHECK(next.state() == dtask::job_state::finished);
    const double nine = co_await h.result();
    CHECK(nine == 9.0);
    const double four = co_await taken.result();
    CHECK(four == 4.0);
  });
}

TEST_CASE("cluster: a deadline ends a running job, and stop reaches it") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    jobs_gate.open();
    auto hasty = c.with({.deadline = 50ms});
    const auto late = co_await hasty.try_call<waiting_job>();
    REQUIRE_FALSE(late);
    CHECK(late.error().code() == dtask::errc::deadline_exceeded);
    bool stopped = false;
    auto waiting = c.call<waiting_job>();
    try {
      const int value = co_await dtask::with_timeout(std::move(waiting), 50ms);
      CHECK(value == 0);
    } catch (const dtask::error& e) {
      stopped = e.code() == dtask::errc::deadline_exceeded;
    }
    CHECK(stopped);
    // The slot is free again.
    const double s = co_await c.call<score_job>(1.0, 1.0);
    CHECK(s == 1.0);
  });
}

TEST_CASE("cluster: a job that ignores stop is abandoned, its slot is lost, the next jobs get their cause") {
  dtask::cluster_options options;
  options.worker.abandon_after = 50ms;
  jobs_gate.shut();
  on(
      "local://1",
      [](dtask::cluster& c) -> dtask::task<> {
        auto stubborn = co_await c.submit<stubborn_job>();
        jobs_gate.wait_for_arrivals(1);
        stubborn.cancel();
        const auto o = co_await stubborn.outcome();
        REQUIRE_FALSE(o);
        auto hasty = c.with({.deadline = 10s, .no_worker_after = 50ms});
        const auto next = co_await hasty.try_call<score_job>(1.0, 1.0);
        REQUIRE_FALSE(next);
        CHECK(next.error().code() == dtask::errc::no_worker);
        jobs_gate.open();
      },
      options);
}

TEST_CASE("cluster: many calls at once from many tasks") {
  on("local://2", [](dtask::cluster& c) -> dtask::task<> {
    const auto some = [](dtask::cluster& k, double base) -> dtask::task<double> {
      double sum = 0;
      for (int i = 0; i < 200; ++i) sum += co_await k.call<score_job>(base, 1.0);
      co_return sum;
    };
    auto [a, b, d] = co_await dtask::when_all(some(c, 1), some(c, 2), some(c, 3));
    CHECK(a + b + d == 1200.0);
  });
}

TEST_CASE("cluster: addresses that cannot be used") {
  dtask::work_pool pool(1);
  for (const char* bad : {"", "nonsense", "http://x:1", "local://-1", "tcp://127.0.0.1"}) {
    CAPTURE(bad);
    try {
      dtask::sync_wait(pool, dtask::cluster::connect<jobs>(bad));
      FAIL("no error");
    } catch (const dtask::error& e) {
      CHECK(e.code() == dtask::errc::invalid_argument);
      CHECK_FALSE(e.remedy().empty());
    }
  }
  // A port on which nobody listens: one that was just given up.
  std::string url;
  {
    dtask::coordinator gone;
    url = gone.url();
  }
  dtask::cluster_options hasty;
  hasty.client.connect_within = 200ms;
  try {
    dtask::sync_wait(pool, dtask::cluster::connect<jobs>(url, hasty));
    FAIL("no error");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::unreachable);
  }
  dtask::cluster_options spawn;
  CHECK_THROWS_AS(dtask::sync_wait(pool, dtask::cluster::connect<jobs>("spawn://1", spawn)), dtask::error);
}

TEST_CASE("cluster: what was started to be a worker and did not become one starts no processes") {
  ::setenv(dtask::spawned_variable, "1", 1);
  dtask::cluster_options options;
  options.command = "/no/such/program";
  const auto code = [&options](const char* url) {
    try {
      auto c = dtask::sync_wait(dtask::cluster::connect<jobs>(url, options));
      dtask::sync_wait(c.close());
    } catch (const dtask::error& e) {
      CAPTURE(e.what());
      CHECK((e.code() != dtask::errc::invalid_argument || e.remedy().find("dtask::worker_role") != std::string::npos));
      return e.code();
    }
    return dtask::errc::ok;
  };
  CHECK(code("spawn://1") == dtask::errc::invalid_argument);
  // These start none.
  CHECK(code("local://1") == dtask::errc::ok);
  CHECK(dtask::take_spawned());
  CHECK(code("spawn://1") == dtask::errc::io_error);
}

TEST_CASE("cluster: a local:// that listens besides takes workers and clients from elsewhere, and sends them home") {
  dtask::cluster_options options;
  options.listen = "127.0.0.1:0";
  options.cookie = 77;
  options.worker.name = "own";
  std::optional<dtask::worker> other;
  on(
      "local://1",
      [&](dtask::cluster& c) -> dtask::task<> {
        const std::string url = c.address();
        REQUIRE(url.starts_with("tcp://127.0.0.1:"));
        other.emplace(url, jobs::entries(), dtask::worker_options{.slots = 1, .name = "other", .cookie = 77});
        dtask::worker stranger(url, jobs::entries(), dtask::worker_options{.slots = 1, .name = "stranger"});
        CHECK(stranger.wait().reason == dtask::exit_reason::refused);
        std::set<std::string> names;
        while (names.size() < 2) {
          const auto found = co_await c.status();
          for (const auto& w : found.workers) names.insert(w.name);
        }
        CHECK(names == std::set<std::string>{"own", "other"});
        dtask::cluster_options joining;
        joining.cookie = 77;
        auto connecting = dtask::cluster::connect<jobs>(url, joining);
        dtask::cluster guest = co_await std::move(connecting);
        CHECK(guest.address() == "");
        const auto a = co_await guest.try_call<score_job>(2.0, 3.0);
        CHECK(a);
        co_await guest.close();
      },
      options);
  CHECK(other->wait().reason == dtask::exit_reason::drained);
}

TEST_CASE("cluster: where it cannot listen, the error says where") {
  dtask::work_pool pool(1);
  const auto refused = [&pool](const char* url, const char* listen, dtask::errc code) {
    dtask::cluster_options options;
    options.listen = listen;
    try {
      dtask::sync_wait(pool, dtask::cluster::connect<jobs>(url, options));
    } catch (const dtask::error& e) {
      CAPTURE(e.what());
      CHECK(e.code() == code);
      CHECK(e.place() == listen);
      return;
    }
    FAIL("no error");
  };
  dtask::coordinator holder;
  const std::string taken = holder.url().substr(6);
  refused("local://1", taken.c_str(), dtask::errc::io_error);
  refused("local://1", "0.0.0.0:0", dtask::errc::invalid_argument);
  refused("tcp://127.0.0.1:1", "127.0.0.1:0", dtask::errc::invalid_argument);
}

TEST_CASE("cluster: over TCP with workers that join late and leave") {
  dtask::coordinator coordinator;
  const std::string url = coordinator.url();
  std::optional<dtask::worker> first, second;
  on(url.c_str(), [&](dtask::cluster& c) -> dtask::task<> {
    co_await c.broadcast("weights", dtask::bytes::from(std::string(5'000'000, 'w')));
    auto early = co_await c.submit<classify>("a", dtask::bytes());
    first.emplace(url, jobs::entries(), dtask::worker_options{.slots = 1, .name = "first"});
    const auto a = co_await early.outcome();
    REQUIRE(a);
    CHECK(a->weights.size() == 5'000'000);
    CHECK(a.worker().find("/first#") != std::string::npos);
    first->drain();
    CHECK(first->wait().reason == dtask::exit_reason::drained);
    second.emplace(url, jobs::entries(), dtask::worker_options{.slots = 1, .name = "second"});
    const auto b = co_await c.try_call<classify>("b", dtask::bytes());
    REQUIRE(b);
    CHECK(b->weights.size() == 5'000'000);
    CHECK(b.worker().find("/second#") != std::string::npos);
    const auto report = co_await c.status();
    CHECK(report.workers.size() == 1);
    CHECK(report.succeeded == 2);
    CHECK(report.clients == 1);
  });
  const auto seen = dtask::sync_wait(dtask::query_status(url));
  CHECK(seen.workers.size() == 1);
  coordinator.drain();
  coordinator.wait();
}

TEST_CASE("cluster: offline for good, what waits for room ends with the cause, and what comes then at once") {
  dtask::coordinator_options narrow;
  narrow.session_bytes = 4000;
  auto coordinator = std::make_unique<dtask::coordinator>("127.0.0.1:0", narrow);
  const std::string url = coordinator->url();
  dtask::cluster_options options;
  options.client.unsent_bytes = 1500;
  on(
      url.c_str(),
      [&](dtask::cluster& c) -> dtask::task<> {
        // Some are with the coordinator, some wait in the client for credit, and most for room there. Without a
        // deadline, so that nothing but the cause ends them.
        dtask::event all_sent;
        auto items = std::views::iota(0u) | std::views::take_while([&all_sent](unsigned i) {
                       if (i == 60) all_sent.set();
                       return i < 60;
                     });
        auto out = c.map<numbers_job>(items, {.window = 61, .deadline = dtask::no_deadline, .no_worker_after = 1h});
        const auto take_all = [](auto& from) -> dtask::task<int> {
          int refused = 0;
          while (auto r = co_await from.next())
            if (!r->has_value() && r->error().code() == dtask::errc::refused) ++refused;
          co_return refused;
        };
        const auto replace = [&](dtask::cluster& k) -> dtask::task<int> {
          co_await all_sent.wait();
          // Its answer says that the client has read what was sent before.
          const auto report = co_await k.status();
          CHECK(report.queued < 60);
          coordinator.reset();
          dtask::coordinator_options other;
          other.cookie = 5;
          coordinator = std::make_unique<dtask::coordinator>(url, other);
          co_return 0;
        };
        const auto [refused, replaced] = co_await dtask::when_all(take_all(out), replace(c));
        CHECK(refused == 60);
        CHECK(replaced == 0);
        const auto late = co_await c.try_call<numbers_job>(1u);
        REQUIRE_FALSE(late);
        CHECK(late.error().code() == dtask::errc::refused);
        dtask::errc said{};
        try {
          co_await c.broadcast("word", dtask::bytes::copy("x"));
        } catch (const dtask::error& e) {
          said = e.code();
        }
        CHECK(said == dtask::errc::refused);
        said = {};
        try {
          const auto report = co_await c.status();
          CHECK(report.queued == 0);
        } catch (const dtask::error& e) {
          said = e.code();
        }
        CHECK(said == dtask::errc::refused);
      },
      options);
}

TEST_CASE("coordinator: a port in use, and an address beyond loopback") {
  dtask::coordinator one;
  CHECK_THROWS_WITH_AS(dtask::coordinator(one.url()), doctest::Contains("cannot listen on 127.0.0.1"), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::coordinator("0.0.0.0:0"), doctest::Contains("no authentication"), dtask::error);
}

TEST_CASE("coordinator: times of a lease that contradict each other are refused, with the names of the options") {
  struct times {
    dtask::duration heartbeat, suspect_after, lost_after;
  };
  for (const times t : {times{10s, 3s, 5s}, times{3s, 3s, 5s}, times{1s, 6s, 5s}, times{0s, 3s, 5s}}) {
    dtask::cluster_options options;
    options.coordinator.heartbeat = t.heartbeat;
    options.coordinator.suspect_after = t.suspect_after;
    options.coordinator.lost_after = t.lost_after;
    CHECK_THROWS_WITH_AS(dtask::coordinator("127.0.0.1:0", options.coordinator), doctest::Contains("--heartbeat"),
                         dtask::error);
    dtask::work_pool pool(1);
    CHECK_THROWS_WITH_AS(dtask::sync_wait(pool, dtask::cluster::connect<jobs>("local://1", options)),
                         doctest::Contains("heartbeat"), dtask::error);
  }
  dtask::coordinator_options same;
  same.heartbeat = 1s;
  same.suspect_after = same.lost_after = 2s;
  CHECK_NOTHROW(dtask::coordinator("127.0.0.1:0", same));
}

TEST_CASE("worker: told to leave while it retires, and afterwards") {
  dtask::coordinator coordinator;
  const std::string url = coordinator.url();
  jobs_gate.shut();
  dtask::worker_options options;
  options.slots = 1;
  options.name = "w";
  options.abandon_after = 50ms;
  dtask::worker w(url, jobs::entries(), options);
  on(url.c_str(), [&](dtask::cluster& c) -> dtask::task<> {
    auto stubborn = co_await c.submit<stubborn_job>();
    jobs_gate.wait_for_arrivals(1);
    stubborn.cancel();
    const auto o = co_await stubborn.outcome();
    CHECK_FALSE(o);
  });
  CHECK(w.wait().reason == dtask::exit_reason::no_slots);
  std::atomic<bool> retired{false};
  std::thread teller([&] {
    // The job lets go after a good number of these.
    for (int i = 0; !retired; ++i) {
      w.drain();
      w.stop();
      if (i == 100) jobs_gate.open();
      std::this_thread::yield();
    }
  });
  const bool clean = w.retire();
  retired = true;
  teller.join();
  CHECK(clean);
  w.drain();
  w.stop();
  CHECK(w.retire());
  CHECK(w.wait().reason == dtask::exit_reason::no_slots);
}

TEST_CASE("worker: a coordinator that never comes is an end with a cause") {
  std::string url;
  {
    dtask::coordinator gone;
    url = gone.url();
  }
  dtask::worker_options options;
  options.slots = 1;
  options.unreachable_after = 100ms;
  dtask::worker w(url, jobs::entries(), options);
  const auto how = w.wait();
  CHECK(how.reason == dtask::exit_reason::unreachable);
  CHECK(how.why.code() == dtask::errc::unreachable);
}

TEST_CASE("worker: names of their own by default, unique on a host") {
  dtask::coordinator coordinator;
  dtask::worker one(coordinator.url(), jobs::entries(), {.slots = 1}),
      two(coordinator.url(), jobs::entries(), {.slots = 1});
  std::set<std::string> seen;
  on(coordinator.url().c_str(), [&](dtask::cluster& c) -> dtask::task<> {
    // Both have come when both have answered; each takes what the other one leaves.
    while (seen.size() < 2) {
      auto status = co_await c.status();
      for (const dtask::worker_status& w : status.workers) seen.insert(w.name);
    }
  });
  CHECK(seen.size() == 2);
  for (const std::string& name : seen) CHECK(name.find(std::to_string(::getpid())) != std::string::npos);
}

TEST_CASE("worker: only a coordinator that listens is an address for it") {
  for (const char* bad : {"local://1", "spawn://2", "127.0.0.1:7700", ""})
    CHECK_THROWS_AS(dtask::worker(bad, jobs::entries()), dtask::error);
}

TEST_CASE("cluster: not connected, everything it is asked for ends as closed") {
  dtask::cluster none;
  const auto closed = [](auto& e) { return e.code() == dtask::errc::closed; };
  const auto ask = [&](dtask::cluster& c) -> dtask::task<int> {
    int ended = 0;
    const auto called = co_await c.try_call<score_job>(1.0, 2.0);
    ended += !called && closed(called.error());
    try {
      auto handle = co_await c.submit<nothing_job>();
    } catch (const dtask::error& e) {
      ended += closed(e);
    }
    try {
      co_await c.broadcast("word", dtask::bytes());
    } catch (const dtask::error& e) {
      ended += closed(e);
    }
    try {
      const auto status = co_await c.status();
      ended -= status.workers.empty();
    } catch (const dtask::error& e) {
      ended += closed(e);
    }
    co_await c.close();
    co_return ended;
  };
  CHECK(dtask::sync_wait(ask(none)) == 4);
  CHECK_THROWS_AS(none.map<numbers_job>(std::views::iota(0u, 3u)), dtask::error);
  CHECK(none.worker_pids().empty());
  // One that was moved from is like it, and one can be given a connection later.
  auto live = dtask::sync_wait(dtask::cluster::connect<jobs>("local://1"));
  none = std::move(live);
  CHECK(dtask::sync_wait(ask(live)) == 4);
  CHECK(dtask::sync_wait(none.call<score_job>(2.0, 3.0)) == 6.0);
}

TEST_CASE("cluster: connect from other Asio code, with any completion token") {
  boost::asio::io_context io;
  const auto call = [](dtask::cluster c) -> dtask::task<double> {
    const double score = co_await c.call<score_job>(2.0, 3.0);
    co_await c.close();
    co_return score;
  };
  std::vector<double> scores;
  const auto scored = [&](std::exception_ptr failed, double score) {
    CHECK_FALSE(failed);
    scores.push_back(score);
  };
  SUBCASE("a handler") {
    dtask::co_spawn(io.get_executor(), dtask::cluster::connect<jobs>("local://1"),
                    [&](std::exception_ptr failed, dtask::cluster c) {
                      REQUIRE_FALSE(failed);
                      dtask::co_spawn(io.get_executor(), call(std::move(c)), scored);
                    });
    io.run();
  }
  SUBCASE("a future") {
    auto coming =
        dtask::co_spawn(io.get_executor(), dtask::cluster::connect<jobs>("local://1"), boost::asio::use_future);
    io.run();
    io.restart();
    dtask::co_spawn(io.get_executor(), call(coming.get()), scored);
    io.run();
  }
  SUBCASE("an Asio coroutine") {
    const auto body = [&]() -> boost::asio::awaitable<void> {
      dtask::cluster c = co_await dtask::co_spawn(io.get_executor(), dtask::cluster::connect<jobs>("local://1"),
                                                  boost::asio::use_awaitable);
      const double score = co_await dtask::co_spawn(io.get_executor(), call(std::move(c)), boost::asio::use_awaitable);
      scores.push_back(score);
    };
    boost::asio::co_spawn(io.get_executor(), body(), boost::asio::detached);
    io.run();
  }
  CHECK(scores == std::vector{6.0});
}

TEST_CASE("cluster: types in the errors of jobs read as they are written") {
  on("local://1", [](dtask::cluster& c) -> dtask::task<> {
    const auto end = co_await c.try_call<throws_ours_job>();
    REQUIRE_FALSE(end);
    CHECK(end.error().type() == "dtask::error");
    CHECK(std::string(end.error().what()).find("v0_1") == std::string::npos);
  });
}
