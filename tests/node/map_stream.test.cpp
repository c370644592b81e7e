// SPDX-License-Identifier: BSL-1.0
#include "dtask/node/map_stream.hpp"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/retry_policy.hpp"
#include "dtask/job/job.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/caller.hpp"
#include "dtask/node/cluster_of.hpp"
#include "dtask/node/detail/client_node.hpp"
#include "dtask/node/detail/range_source.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/with_timeout.hpp"
#include "node/number_generator.hpp"

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t all = 10, too_large = 4;

// The first cannot be encoded.
class some_items final : public dtask::detail::item_source {
 public:
  bool next(dtask::payload&, std::exception_ptr& failed) override {
    if (given_ == all) return false;
    if (given_++ < too_large) failed = std::make_exception_ptr(dtask::error(dtask::errc::too_large, "too large"));
    return true;
  }

 private:
  std::uint64_t given_ = 0;
};

dtask::errc next_code(dtask::map_stream<int>& out) {
  const std::optional<dtask::outcome<int>> next = dtask::sync_wait(dtask::with_timeout(out.next(), 20s));
  REQUIRE(next);
  REQUIRE_FALSE(next->has_value());
  return next->error().code();
}

// Answers calls with their own arguments: at once, or when the test says so.
class echo final : public dtask::detail::client_port {
 public:
  void submit(std::shared_ptr<dtask::detail::pending_call> call) override {
    deadlines.push_back(call->request.wishes.deadline);
    no_worker_after.push_back(call->request.wishes.no_worker_after);
    retries.push_back(call->request.wishes.retry);
    calls_.push_back(std::move(call));
    if (at_once) answer();
    if (stopping && deadlines.size() == stop_at) stopping->request_stop(dtask::errc::deadline_exceeded);
  }
  void cancel(std::shared_ptr<dtask::detail::pending_call> call) override {
    // What has ended, or never came here, is nothing to cancel.
    if (std::erase(calls_, call) == 0) return;
    ++cancelled;
    complete(*call, dtask::errc::cancelled);
  }
  void answer() {
    for (const auto& call : std::exchange(calls_, {})) complete(*call, how);
  }
  void broadcast(std::shared_ptr<dtask::detail::pending_broadcast>) override {}
  void query_status(std::shared_ptr<dtask::detail::pending_status>) override {}
  void close(bool) override {}

  bool at_once = true;
  dtask::errc how = dtask::errc::ok;
  // The submission of this number stops that source.
  std::size_t stop_at = 0;
  dtask::stop_source* stopping = nullptr;
  std::vector<dtask::duration> deadlines, no_worker_after;
  std::vector<dtask::retry_policy> retries;
  int cancelled = 0;

 private:
  static void complete(dtask::detail::pending_call& call, dtask::errc code) {
    dtask::detail::call_reply reply;
    reply.why.code = code;
    reply.value = std::move(call.request.arguments);
    dtask::detail::completion_batch batch;
    call.complete(std::move(reply), batch);
    batch.flush();
  }
  std::vector<std::shared_ptr<dtask::detail::pending_call>> calls_;
};

int same(int n) { return n; }
using same_job = dtask::function_job<"same/1", &same, dtask::pure>;
std::string words(std::string s) { return s; }
using words_job = dtask::function_job<"words/1", &words, dtask::pure>;

template <class J, class Range>
auto mapped(const std::shared_ptr<echo>& client, Range range, const dtask::map_options& options) {
  dtask::call_request form;
  form.wishes.deadline = options.deadline.value_or(dtask::default_deadline);
  return dtask::map_stream<dtask::result_of<J>>(dtask::detail::map_core(
      client, std::make_unique<dtask::detail::range_source<J, Range>>(std::move(range), dtask::codec_limits()), form,
      options));
}

// A cluster of which `echo` is the client.
struct echoing : dtask::caller {
  explicit echoing(std::shared_ptr<echo> client)
      : caller(std::move(client), dtask::registry<same_job>::entries(), dtask::codec_limits()) {}
};

enum class place { begin, step, read, end };
struct history {
  place fault;
  int at;  // the item
  bool thrown = false;
  int touched_after = 0;
  void pass(place where, int item) {
    if (thrown) ++touched_after;
    if (where != fault || item != at) return;
    thrown = true;
    // The codec throws this too, which then is an item's outcome.
    throw dtask::error(dtask::errc::too_large, "no such item");
  }
};
// 0, 1, ... 9, and throws once.
class faulty {
 public:
  class iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    explicit iterator(history& log) : log_(&log) {}
    int operator*() const {
      log_->pass(place::read, at_);
      return at_;
    }
    iterator& operator++() {
      log_->pass(place::step, ++at_);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) {
      i.log_->pass(place::end, i.at_);
      return i.at_ == 10;
    }

   private:
    history* log_;
    int at_ = 0;
  };
  faulty(history& log, std::shared_ptr<int> alive) : log_(&log), alive_(std::move(alive)) {}
  iterator begin() {
    log_->pass(place::begin, 0);
    return iterator(*log_);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  history* log_;
  std::shared_ptr<int> alive_;
};

dtask_test::number_generator numbers_until(int end) {
  for (int i = 0; i < end; ++i) co_yield i;
  throw std::runtime_error("cannot read on");
}

// Takes `expected` results, one exception and the end, all of them bounded.
template <class Exception, class Stream>
void take_until_thrown(Stream& out, int expected) {
  std::vector<bool> seen(static_cast<std::size_t>(expected), false);
  for (int i = 0; i < expected; ++i) {
    const auto r = dtask::sync_wait(dtask::with_timeout(out.next(), 20s));
    REQUIRE(r);
    REQUIRE(r->has_value());
    REQUIRE(out.position() < seen.size());
    CHECK(r->value() == static_cast<int>(out.position()));
    CHECK_FALSE(seen[out.position()]);
    seen[out.position()] = true;
  }
  CHECK_THROWS_AS(dtask::sync_wait(dtask::with_timeout(out.next(), 20s)), Exception);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(dtask::sync_wait(dtask::with_timeout(out.next(), 20s)));
}

struct picky {
  int value = 0;
  template <class A>
  void save(A& a) const {
    if (value == 2) throw std::runtime_error("no words for it");
    if (value == 4) throw 4;
    a(value);
  }
  template <class A>
  void load(A& a) {
    a(value);
  }
};
picky same_picky(picky p) { return p; }
using picky_job = dtask::function_job<"picky/1", &same_picky, dtask::pure>;

template <class Stream>
dtask::errc next_stopped(Stream& out, dtask::stop_source& stop) {
  try {
    const auto r = dtask::sync_wait(dtask::with_stop(stop, out.next()));
    CHECK_FALSE(r);
  } catch (const dtask::error& e) {
    return e.code();
  }
  return dtask::errc::ok;
}
// A next() that is stopped when it has sent the item of this number.
template <class Stream>
dtask::errc next_stopped_at(Stream& out, echo& client, std::size_t number) {
  dtask::stop_source stop;
  client.stop_at = number;
  client.stopping = &stop;
  const dtask::errc end = next_stopped(out, stop);
  client.stopping = nullptr;
  return end;
}

}  // namespace

TEST_CASE("map: a range that throws is destroyed, what is under way arrives, then next() throws once and ends") {
  struct fault {
    place where;
    int at;
  };
  for (const fault f : {fault{place::begin, 0}, fault{place::end, 0}, fault{place::read, 0}, fault{place::step, 1},
                        fault{place::step, 5}, fault{place::read, 5}, fault{place::end, 5}, fault{place::end, 10}}) {
    for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
      for (const std::size_t window : {1u, 3u, 16u}) {
        CAPTURE(static_cast<int>(f.where));
        CAPTURE(f.at);
        CAPTURE(order == dtask::ordered);
        CAPTURE(window);
        history log{f.where, f.at};
        auto alive = std::make_shared<int>(0);
        const std::weak_ptr<int> range = alive;
        auto out = mapped<same_job>(std::make_shared<echo>(), faulty(log, std::move(alive)),
                                    {.order = order, .window = window});
        take_until_thrown<dtask::error>(out, f.at);
        CHECK(range.expired());
        CHECK(log.thrown);
        CHECK(log.touched_after == 0);
      }
    }
  }
}

TEST_CASE("map: a coroutine that throws is not resumed") {
  for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
    for (const int end : {0, 1, 5}) {
      for (const std::size_t window : {1u, 3u, 16u}) {
        CAPTURE(order == dtask::ordered);
        CAPTURE(end);
        CAPTURE(window);
        auto out = mapped<same_job>(std::make_shared<echo>(), numbers_until(end), {.order = order, .window = window});
        take_until_thrown<std::runtime_error>(out, end);
      }
    }
  }
}

TEST_CASE("map: an item that cannot be encoded is its own outcome, whatever its type throws") {
  for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
    CAPTURE(order == dtask::ordered);
    auto out = mapped<picky_job>(std::make_shared<echo>(), std::vector<picky>{{0}, {1}, {2}, {3}, {4}, {5}},
                                 {.order = order, .window = 3});
    for (int taken = 0; taken < 6; ++taken) {
      const auto r = dtask::sync_wait(dtask::with_timeout(out.next(), 20s));
      REQUIRE(r);
      const auto at = static_cast<int>(out.position());
      CAPTURE(at);
      if (at == 2 || at == 4) {
        REQUIRE_FALSE(r->has_value());
        CHECK(r->error().code() == dtask::errc::encode_failed);
        CHECK((r->error().message().find("no words for it") != std::string::npos) == (at == 2));
      } else {
        REQUIRE(r->has_value());
        CHECK(r->value().value == at);
      }
    }
    CHECK_FALSE(dtask::sync_wait(out.next()));
  }
}

TEST_CASE("map: the window in bytes counts arguments under way and results not yet taken") {
  constexpr std::size_t large = 1000;
  for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
    CAPTURE(order == dtask::ordered);
    const auto client = std::make_shared<echo>();
    client->at_once = false;
    const std::vector<std::string> items(8, std::string(large, 'a'));
    auto out = mapped<words_job>(client, items, {.order = order, .window = 8, .window_bytes = 2 * large + 1});
    // Two with their headers are over the window: no third is taken, nor while the results wait.
    CHECK_THROWS_AS(dtask::sync_wait(dtask::with_timeout(out.next(), 1ms)), dtask::error);
    CHECK(client->deadlines.size() == 2);
    client->answer();
    CHECK(dtask::sync_wait(out.next())->value().size() == large);
    CHECK(client->deadlines.size() == 2);
    // One is taken, so that one more may go.
    CHECK(dtask::sync_wait(out.next())->value().size() == large);
    CHECK(client->deadlines.size() == 3);
    client->at_once = true;
    client->answer();
    for (int i = 2; i < 8; ++i) CHECK(dtask::sync_wait(out.next())->value().size() == large);
    CHECK_FALSE(dtask::sync_wait(out.next()));
  }
}

TEST_CASE("map: an item larger than the window in bytes goes alone") {
  const auto client = std::make_shared<echo>();
  auto out = mapped<words_job>(client, std::vector<std::string>(3, std::string(1000, 'a')), {.window_bytes = 0});
  for (std::size_t i = 1; i <= 3; ++i) {
    CHECK(dtask::sync_wait(out.next())->value().size() == 1000);
    CHECK(client->deadlines.size() == i);
  }
  CHECK_FALSE(dtask::sync_wait(out.next()));
}

TEST_CASE("map: a stop of next() ends the wait alone") {
  for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
    CAPTURE(order == dtask::ordered);
    const auto client = std::make_shared<echo>();
    client->at_once = false;
    std::vector<int> numbers = {0, 1, 2, 3, 4, 5, 6};
    auto out = mapped<same_job>(client, numbers, {.order = order, .window = 3});
    // A range that is slow shall not hold up whoever has no time left.
    CHECK(next_stopped_at(out, *client, 1) == dtask::errc::deadline_exceeded);
    CHECK(client->deadlines.size() == 1);
    dtask::stop_source stopped;
    stopped.request_stop();
    CHECK(next_stopped(out, stopped) == dtask::errc::cancelled);
    CHECK(client->deadlines.size() == 1);
    // The window is full.
    CHECK(next_stopped_at(out, *client, 3) == dtask::errc::deadline_exceeded);
    CHECK_THROWS_AS(dtask::sync_wait(dtask::with_timeout(out.next(), 1ms)), dtask::error);
    CHECK(client->deadlines.size() == 3);
    CHECK(client->cancelled == 0);
    client->answer();
    client->at_once = true;
    std::vector<std::uint64_t> positions;
    for (int i = 0; i < 7; ++i) {
      const auto r = dtask::sync_wait(dtask::with_timeout(out.next(), 20s));
      REQUIRE(r);
      REQUIRE(r->has_value());
      CHECK(r->value() == static_cast<int>(out.position()));
      positions.push_back(out.position());
    }
    CHECK(positions == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6});
    CHECK_FALSE(dtask::sync_wait(out.next()));
    CHECK(client->cancelled == 0);
  }
}

TEST_CASE("map: a stop while the first item is made is no end of the map") {
  dtask::stop_source stop;
  auto stops = std::views::iota(0, 4) | std::views::transform([&](int i) {
                 stop.request_stop();
                 return i;
               });
  const auto client = std::make_shared<echo>();
  client->at_once = false;
  auto out = mapped<same_job>(client, std::move(stops), {.window = 8});
  CHECK(next_stopped(out, stop) == dtask::errc::cancelled);
  client->answer();
  client->at_once = true;
  for (int i = 0; i < 4; ++i) {
    const auto r = dtask::sync_wait(dtask::with_timeout(out.next(), 20s));
    REQUIRE(r);
    CHECK(r->value() == i);
  }
  CHECK_FALSE(dtask::sync_wait(out.next()));
}

TEST_CASE("map: items have the map's deadline, not that of the next() that sends them") {
  const auto client = std::make_shared<echo>();
  auto out = mapped<same_job>(client, std::vector<int>{1, 2, 3}, {.window = 2, .deadline = dtask::no_deadline});
  while (dtask::sync_wait(dtask::with_timeout(out.next(), 20s))) {
  }
  CHECK(client->deadlines == std::vector<dtask::duration>(3, dtask::no_deadline));
}

TEST_CASE("map: cancel() and the destructor cancel what is under way, once") {
  const auto client = std::make_shared<echo>();
  client->at_once = false;
  {
    auto out = mapped<same_job>(client, std::vector<int>{1, 2, 3, 4}, {.window = 3});
    CHECK(next_stopped_at(out, *client, 3) == dtask::errc::deadline_exceeded);
    out.cancel();
    CHECK(client->cancelled == 3);
    for (int i = 0; i < 3; ++i) CHECK(next_code(out) == dtask::errc::cancelled);
    CHECK_FALSE(dtask::sync_wait(out.next()));
  }
  CHECK(client->cancelled == 3);
  {
    auto out = mapped<same_job>(client, std::vector<int>{1, 2, 3, 4}, {.window = 3});
    CHECK(next_stopped_at(out, *client, 6) == dtask::errc::deadline_exceeded);
    CHECK(client->cancelled == 3);
  }
  CHECK(client->cancelled == 6);
  // From inside the range, where the item that it was making is not sent any more.
  dtask::map_stream<int>* stream = nullptr;
  auto cancels = std::views::iota(0, 4) | std::views::transform([&](int i) {
                   if (i == 2) stream->cancel();
                   return i;
                 });
  auto out = mapped<same_job>(client, std::move(cancels), {.window = 4});
  stream = &out;
  for (int i = 0; i < 2; ++i) CHECK(next_code(out) == dtask::errc::cancelled);
  CHECK_FALSE(dtask::sync_wait(out.next()));
}

TEST_CASE("map: an endless range ends with its cluster") {
  const auto client = std::make_shared<echo>();
  auto out = mapped<same_job>(client, std::views::iota(0), {.window = 3});
  REQUIRE(dtask::sync_wait(out.next()));
  client->how = dtask::errc::closed;
  int values = 0, closed = 0;
  for (int i = 0; i < 100; ++i) {
    const auto next = dtask::sync_wait(out.next());
    if (!next) break;
    ++(*next ? values : closed);
  }
  CHECK(values == 2);
  CHECK(closed == 3);
  CHECK(client->deadlines.size() == 6);
}

TEST_CASE("map: a stream that was moved from says so") {
  auto out = mapped<same_job>(std::make_shared<echo>(), std::vector<int>{1}, {});
  auto moved = std::move(out);
  CHECK_THROWS_WITH_AS(dtask::sync_wait(out.next()), doctest::Contains("moved from"), dtask::error);
  CHECK(out.position() == 0);
  out.cancel();
  CHECK(dtask::sync_wait(moved.next())->value() == 1);
}

TEST_CASE("map: one outcome for each item, also where a cancel meets items that could not be encoded") {
  for (const dtask::map_order order : {dtask::ordered, dtask::unordered}) {
    CAPTURE(order == dtask::ordered);
    // The node does nothing until the test lets it, and its coordinator never answers.
    boost::asio::io_context io(1);
    dtask::control::identity who;
    who.jobs.resize(1);
    const auto silent = [](const dtask::detail::link_taker&) { return std::shared_ptr<void>(); };
    const auto client = std::make_shared<dtask::detail::client_node>(io.get_executor(), who,
                                                                     dtask::control::client_options(), silent, 1);
    client->start();
    {
      dtask::map_stream<int> out(dtask::detail::map_core(client, std::make_unique<some_items>(), dtask::call_request(),
                                                         {.order = order, .window = all}));
      REQUIRE(next_code(out) == dtask::errc::too_large);
      out.cancel();
      // Taken before the node hears of the cancel.
      for (std::uint64_t i = 1; i < too_large; ++i) {
        REQUIRE(next_code(out) == dtask::errc::too_large);
        CHECK(out.position() == i);
      }
      io.poll();
      for (std::uint64_t i = too_large; i < all; ++i) {
        REQUIRE(next_code(out) == dtask::errc::cancelled);
        CHECK(out.position() == i);
      }
      CHECK_FALSE(dtask::sync_wait(out.next()));
    }
    client->take_down();
  }
}

TEST_CASE("map: what its options leave open is as with() says") {
  const auto client = std::make_shared<echo>();
  const auto sends = [&client](auto stream, dtask::duration deadline, dtask::duration no_worker_after,
                               const dtask::retry_policy& retry) {
    REQUIRE(dtask::sync_wait(dtask::with_timeout(stream.next(), 20s)));
    CHECK(client->deadlines.back() == deadline);
    CHECK(client->no_worker_after.back() == no_worker_after);
    CHECK(client->retries.back().retries == retry.retries);
    CHECK(client->retries.back().backoff == retry.backoff);
    CHECK(client->retries.back().max_backoff == retry.max_backoff);
    CHECK(client->retries.back().on_exception == retry.on_exception);
  };
  const std::vector<int> items = {1};
  const echoing plain(client);
  const dtask::retry_policy usual{3, 50ms, 5s, false}, patient{7, 2ms, 3ms, true};
  sends(plain.map<same_job>(items), dtask::default_deadline, 60s, usual);
  sends(plain.map<same_job>(items, {.window = 2}), dtask::default_deadline, 60s, usual);
  sends(plain.map<same_job>(items, {.deadline = 4s, .retries = 1}), 4s, 60s, {1, 50ms, 5s, false});
  const auto with = plain.with({.retries = 7,
                                .deadline = dtask::no_deadline,
                                .no_worker_after = 9s,
                                .retry_exceptions = true,
                                .backoff = 2ms,
                                .max_backoff = 3ms});
  sends(with.map<same_job>(items), dtask::no_deadline, 9s, patient);
  sends(with.map<same_job>(items, {.order = dtask::unordered, .window = 2}), dtask::no_deadline, 9s, patient);
  // What is set there wins, also where it is what would be usual.
  sends(with.map<same_job>(items, {.deadline = 5s, .retries = 3, .retry_exceptions = false}), 5s, 9s,
        {3, 2ms, 3ms, false});
  sends(with.map<same_job>(items, {.no_worker_after = 60s, .backoff = 50ms, .max_backoff = 5s}), dtask::no_deadline,
        60s, {7, 50ms, 5s, true});
  const dtask::checked<dtask::registry<same_job>, dtask::caller> known(with);
  sends(known.map<same_job>(items), dtask::no_deadline, 9s, patient);
}
