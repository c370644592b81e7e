// SPDX-License-Identifier: BSL-1.0
#include "dtask/runtime/work_pool.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include "dtask/runtime/use_task.hpp"
#include "dtask/task.hpp"
#include "runtime/no_more_threads.hpp"
#include "task/manual_scheduler.hpp"

namespace asio = boost::asio;
using namespace dtask_test;
using namespace std::chrono_literals;

namespace {
dtask::task<long> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await dtask::when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}
dtask::task<bool> on_pool(dtask::work_pool& pool, int hops) {
  bool always = true;
  for (int i = 0; i < hops; ++i) {
    co_await asio::post(pool, dtask::use_task);
    always = always && pool.runs_here();
  }
  co_return always;
}
dtask::task<int> wide(int n) {
  std::vector<dtask::task<long>> tasks;
  for (int i = 0; i < n; ++i) tasks.push_back(fib(i % 8));
  const auto all = co_await dtask::when_all(std::move(tasks));
  long sum = 0;
  for (const long v : all) sum += v;
  co_return static_cast<int>(sum);
}
dtask::task<> fails_deep(int n) {
  if (n == 0) throw 7;
  co_await dtask::when_all(fails_deep(n - 1), fib(5), dtask::sleep_until(dtask::never));
}
}  // namespace

TEST_CASE("fork and join on one, two and four threads") {
  for (const unsigned threads : {1u, 2u, 4u}) {
    dtask::work_pool pool(threads);
    CHECK(pool.threads() == threads);
    CHECK(bounded_on(pool, fib(18)) == 2584);
    CHECK(bounded_on(pool, wide(1000)) == 125 * (0 + 1 + 1 + 2 + 3 + 5 + 8 + 13));
  }
}

TEST_CASE("tasks wait for each other across threads") {
  dtask::work_pool pool(3);
  const auto body = []() -> dtask::task<long> {
    dtask::channel<long> c(4);
    const auto produce = [](dtask::channel<long>& to, long n) -> dtask::task<> {
      for (long i = 1; i <= n; ++i) co_await to.push(i);
    };
    const auto consume = [](dtask::channel<long>& from, long n) -> dtask::task<long> {
      long sum = 0;
      for (long i = 0; i < n; ++i) {
        auto v = co_await from.pop();
        sum += *v;
      }
      co_return sum;
    };
    auto all = co_await dtask::when_all(produce(c, 1000), produce(c, 1000), consume(c, 500), consume(c, 1500));
    co_return std::get<2>(all) + std::get<3>(all);
  };
  CHECK(bounded_on(pool, body()) == 2 * 500500);
}

TEST_CASE("a failure deep in the tree stops everything and arrives at the root") {
  dtask::work_pool pool(2);
  for (int i = 0; i < 20; ++i) CHECK_THROWS_AS(bounded_on(pool, fails_deep(6)), int);
}

TEST_CASE("a scope with many children that come and go on all threads") {
  dtask::work_pool pool(3);
  std::atomic<int> done{0};
  const auto body = [&](dtask::scope& s) -> dtask::task<> {
    const auto child = [](std::atomic<int>& count, int n) -> dtask::task<> {
      if (n % 3 == 0) co_await dtask::sleep_for(1ms);
      const long v = co_await fib(n % 6);
      static_cast<void>(v);
      ++count;
    };
    for (int i = 0; i < 500; ++i) dtask::spawn(s, child, std::ref(done), i);
    co_await s.join();
  };
  bounded_on(pool, dtask::with_scope(body));
  CHECK(done == 500);
}

TEST_CASE("a deadline stops a task that keeps all threads busy") {
  dtask::work_pool pool(1);
  const auto spin = []() -> dtask::task<> {
    const dtask::environment& env = co_await dtask::this_environment();
    for (;;) env.token().check();
  };
  const auto body = [&]() -> dtask::task<> {
    const dtask::duration limit = 5ms;
    co_await dtask::with_timeout(spin(), limit);
  };
  CHECK(cause_of([&] { bounded_on(pool, body()); }) == dtask::errc::deadline_exceeded);
}

TEST_CASE("the pool is an Asio execution context") {
  dtask::work_pool pool(2);
  CHECK(bounded_on(pool, on_pool(pool, 1000)));
  const asio::any_io_executor any = pool.get_executor();
  CHECK(any == asio::any_io_executor(pool.get_executor()));
  CHECK(&asio::query(any, asio::execution::context) == &pool);

  // dispatch on a thread of the pool runs in place, post does not; a strand keeps its order.
  dtask::one_shot<bool> in_place;
  asio::post(any, [&] {
    bool ran = false;
    asio::dispatch(pool.get_executor(), [&] { ran = true; });
    in_place.set(ran);
  });
  CHECK(bounded(in_place.wait()));

  auto strand = asio::make_strand(pool.get_executor());
  std::vector<int> order;
  dtask::one_shot<> last;
  for (int i = 0; i < 100; ++i) {
    asio::post(strand, [&order, &last, i] {
      order.push_back(i);
      if (i == 99) last.set();
    });
  }
  bounded(last.wait());
  REQUIRE(order.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);

  // I/O objects work on it, and handlers bound to it run on it.
  dtask::one_shot<bool> here;
  asio::steady_timer timer(pool, 1ms);
  timer.async_wait(
      asio::bind_executor(pool.get_executor(), [&](boost::system::error_code) { here.set(pool.runs_here()); }));
  CHECK(bounded(here.wait()));
}

TEST_CASE("functions that the pool's end overtakes are dropped, not run") {
  auto held = std::make_shared<int>(1);
  {
    dtask::work_pool pool(1);
    dtask::one_shot<> go;
    asio::post(pool, [&pool, held] {
      // Queued behind this one, and the pool may be ending by then.
      for (int i = 0; i < 100; ++i) asio::post(pool, [held] {});
    });
  }
  CHECK(held.use_count() == 1);
}

TEST_CASE("each thread of a pool calls what it was told to before anything else") {
  static thread_local bool begun = false;
  dtask::work_pool pool(3, []() noexcept { begun = true; });
  std::atomic<int> all{0};
  const auto look = [](std::atomic<int>& count) -> dtask::task<int> {
    const bool here = begun;
    // Until every thread has one.
    ++count;
    while (count < 3) std::this_thread::yield();
    co_return here ? 1 : 0;
  };
  const auto [a, b, c] = bounded_on(pool, dtask::when_all(look(all), look(all), look(all)));
  CHECK(a + b + c == 3);
  CHECK_FALSE(begun);
}

TEST_CASE("idle threads sleep and wake, again and again") {
  dtask::work_pool pool(3);
  for (int i = 0; i < 200; ++i) CHECK(bounded_on(pool, fib(6)) == 8);
}

#if !DTASK_ASAN && !DTASK_TSAN
TEST_CASE("a pool that cannot have its threads throws, and the process goes on") {
  {
    no_more_threads none;
    REQUIRE(none.refused());
    CHECK_THROWS_AS(dtask::work_pool(2), std::system_error);
    none.but_one();  // it starts, and ends with the constructor
    CHECK_THROWS_AS(dtask::work_pool(2), std::system_error);
  }
  dtask::work_pool pool(2);
  CHECK(bounded_on(pool, fib(6)) == 8);
}
#endif

TEST_CASE("to block a thread of the pool for a task of the pool is an error at once") {
  for (const unsigned threads : {1u, 2u}) {
    dtask::work_pool pool(threads);
    const auto body = [&]() -> dtask::task<dtask::errc> {
      const auto ready = []() -> dtask::task<> { co_return; };
      co_return cause_of([&] { dtask::sync_wait(pool, ready()); });
    };
    CHECK(bounded_on(pool, body()) == dtask::errc::invalid_argument);
    // Asio's functions on its threads too, and waits inside of other waits.
    const auto nested = [&]() -> dtask::task<dtask::errc> { co_return dtask::sync_wait(body()); };
    CHECK(bounded_on(pool, nested()) == dtask::errc::invalid_argument);
    dtask::one_shot<dtask::errc> end;
    asio::post(pool, [&] { end.set(dtask::sync_wait(body())); });
    CHECK(bounded(end.wait()) == dtask::errc::invalid_argument);
  }
}

namespace {
dtask::task<> end_the_program() {
  std::exit(9);
  co_return;
}
}  // namespace

TEST_CASE("work pool: a task that calls std::exit ends the program with its code") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::execl("/proc/self/exe", "work pool", "--no-skip", "--test-case=work pool of a program that exits", nullptr);
    ::_exit(99);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 9);
}

TEST_CASE("work pool of a program that exits" * doctest::skip()) {
  dtask::sync_wait(dtask::work_pool::shared(), end_the_program());
}
