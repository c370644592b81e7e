// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/use_task.hpp"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <string>

#include "dtask/runtime/io_thread.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task.hpp"
#include "task/manual_scheduler.hpp"

namespace asio = boost::asio;
using namespace dtask_test;
using namespace std::chrono_literals;
using stream = asio::local::stream_protocol::socket;  // a socket pair: no port

namespace {
struct pair {
  explicit pair(asio::io_context& c) : a(c), b(c) { asio::local::connect_pair(a, b); }
  stream a, b;
};
dtask::task<std::string> echo(pair& p, std::string text) {
  std::string back(text.size(), ' ');
  const std::size_t sent = co_await asio::async_write(p.a, asio::buffer(text), dtask::use_task);
  const std::size_t got = co_await asio::async_read(p.b, asio::buffer(back), dtask::use_task);
  co_return sent == got ? back : "short";
}
dtask::task<> read_byte(stream& s) {
  char byte = 0;
  co_await asio::async_read(s, asio::buffer(&byte, 1), dtask::use_task);
}
}  // namespace

TEST_CASE("values, and errors as exceptions or as values") {
  dtask::io_thread io;
  pair p(io.context());
  CHECK(bounded_on(io.scheduler(), echo(p, "hello")) == "hello");
  const auto at_end = [](pair& q) -> dtask::task<bool> {
    q.a.close();
    char byte = 0;
    auto [e, n] = co_await asio::async_read(q.b, asio::buffer(&byte, 1), dtask::use_tuple);
    co_return e == asio::error::eof&& n == 0;
  };
  CHECK(bounded_on(io.scheduler(), at_end(p)));
  CHECK_THROWS_AS(bounded_on(io.scheduler(), read_byte(p.b)), boost::system::system_error);
}

TEST_CASE("stop cancels an operation in flight, and one that has not begun") {
  dtask::io_thread io;
  pair p(io.context());
  const auto in_flight = [](stream& s) -> dtask::task<> {
    const dtask::duration limit = 5ms;
    co_await dtask::with_timeout(read_byte(s), limit);
  };
  CHECK(cause_of([&] { bounded_on(io.scheduler(), in_flight(p.b)); }) == dtask::errc::deadline_exceeded);
  dtask::stop_source stop;
  stop.request_stop();
  dtask::environment env;
  env.stop = &stop;
  CHECK(cause_of([&] { dtask::sync_wait(io.scheduler(), read_byte(p.b), env); }) == dtask::errc::cancelled);
  const auto tuple = [](stream& s) -> dtask::task<bool> {
    const auto wait = [](stream& t) -> dtask::task<bool> {
      char byte = 0;
      auto [e, n] = co_await asio::async_read(t, asio::buffer(&byte, 1), dtask::use_tuple);
      co_return e == asio::error::operation_aborted&& n == 0;
    };
    const dtask::duration limit = 5ms;
    co_return co_await dtask::with_timeout(wait(s), limit);
  };
  CHECK(bounded_on(io.scheduler(), tuple(p.b)));
  // The socket is none the worse for it.
  CHECK(bounded_on(io.scheduler(), echo(p, "still there")) == "still there");
}

TEST_CASE("a task on a pool awaits what completes on an io thread, and resumes on its pool") {
  dtask::work_pool pool(2);
  dtask::io_thread io;
  const auto body = [&]() -> dtask::task<bool> {
    bool home = true;
    for (int i = 0; i < 200; ++i) {
      co_await asio::post(io.context(), dtask::use_task);
      home = home && pool.runs_here();
    }
    asio::steady_timer timer(io.context(), 1ms);
    co_await timer.async_wait(dtask::use_task);
    co_return home&& pool.runs_here();
  };
  CHECK(bounded_on(pool, body()));
}

TEST_CASE("completion and stop race on a pool") {
  dtask::work_pool pool(3);
  dtask::io_thread io;
  int in_time = 0, late = 0;
  for (int i = 0; i < 200; ++i) {
    const auto body = [&]() -> dtask::task<> {
      dtask::stop_source stop;
      asio::steady_timer timer(io.context(), std::chrono::microseconds(50 * (i % 4)));
      const auto waits = [](asio::steady_timer& t) -> dtask::task<> {
        asio::steady_timer& same = t;
        co_await same.async_wait(dtask::use_task);
      };
      const auto stops = [](dtask::stop_source& s, int hops, asio::io_context& c) -> dtask::task<> {
        for (int h = 0; h < hops; ++h) co_await asio::post(c, dtask::use_task);
        s.request_stop();
      };
      co_await dtask::when_all(dtask::with_stop(stop, waits(timer)), stops(stop, i % 7, io.context()));
    };
    if (cause_of([&] { bounded_on(pool, body()); }) == dtask::errc::ok)
      ++in_time;
    else
      ++late;
  }
  CHECK(in_time + late == 200);
}

TEST_CASE("an initiation that throws ends the await with its exception") {
  const auto broken = [](auto&& token) {
    return asio::async_initiate<decltype(token), void(int)>([](auto&&) { throw 7; }, token);
  };
  const auto body = [&]() -> dtask::task<int> {
    int caught = 0;
    try {
      co_await broken(dtask::use_task);
    } catch (int what) {
      caught = what;
    }
    co_return caught;
  };
  CHECK(bounded(body()) == 7);
  dtask::work_pool pool(2);
  CHECK(bounded_on(pool, body()) == 7);
}

TEST_CASE("combined with the other awaitables") {
  dtask::io_thread io;
  pair p(io.context());
  const auto body = [](pair& q) -> dtask::task<std::size_t> {
    auto read = read_byte(q.b);
    auto first = co_await dtask::when_any(std::move(read), dtask::sleep_for(1ms));
    char byte = 'x';
    char got = 0;
    auto all = co_await dtask::when_all(asio::async_write(q.a, asio::buffer(&byte, 1), dtask::use_task),
                                        asio::async_read(q.b, asio::buffer(&got, 1), dtask::use_task));
    co_return got == 'x' ? first.index + std::get<0>(all) + std::get<1>(all) : 0;
  };
  CHECK(bounded_on(io.scheduler(), body(p)) == 3);
}
