// SPDX-License-Identifier: BSL-1.0
// Fork and join: the naive Fibonacci tree, one task per call, against oneTBB in the same run. Beside it asio::awaitable
// at n <= 24, since its memory explodes above. CPU nanoseconds per task (all threads), the smallest of several
// interleaved runs.
#ifdef DTASK_BENCH_WITH_TBB
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_invoke.h>
#include <oneapi/tbb/task_arena.h>
#endif

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdint>
#include <cstdio>
#include <string>

#include "cpu_time.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/when_all.hpp"
#include "figure.hpp"

namespace asio = boost::asio;

namespace {
constexpr std::uint64_t large = 32;
constexpr std::uint64_t small = 20;

dtask::task<std::uint64_t> fib(std::uint64_t n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await dtask::when_all(fib(n - 1), fib(n - 2));
  co_return a + b;
}

#ifdef DTASK_BENCH_WITH_TBB
std::uint64_t tbb_fib(std::uint64_t n) {
  if (n < 2) return n;
  std::uint64_t a = 0, b = 0;
  oneapi::tbb::parallel_invoke([&] { a = tbb_fib(n - 1); }, [&] { b = tbb_fib(n - 2); });
  return a + b;
}
#endif

using executor = asio::thread_pool::executor_type;
asio::awaitable<std::uint64_t, executor> asio_fib(std::uint64_t n) {
  using namespace asio::experimental::awaitable_operators;
  if (n < 2) co_return n;
  auto [a, b] = co_await (asio_fib(n - 1) && asio_fib(n - 2));
  co_return a + b;
}

/// The calls that fib(n) makes, itself included.
double calls(std::uint64_t n) {
  double previous = 1, current = 1;
  for (std::uint64_t i = 2; i <= n; ++i) {
    const double next = previous + current + 1;
    previous = current;
    current = next;
  }
  return current;
}
}  // namespace

int main() {
  std::fprintf(stderr, "transfer mode: %s\n", DTASK_SYMMETRIC_TRANSFER ? "symmetric" : "loop");
  for (const unsigned threads : {1u, 2u}) {
    const std::string suffix = threads == 1 ? ", 1 thread" : ", 2 threads";
    dtask::work_pool pool(threads);
    bench::smallest ours, ours_small, awaitable;
    std::uint64_t sum = 0, expected = 0;
#ifdef DTASK_BENCH_WITH_TBB
    bench::smallest tbb;
    oneapi::tbb::global_control limit(oneapi::tbb::global_control::max_allowed_parallelism, threads);
    oneapi::tbb::task_arena arena(static_cast<int>(threads));
#endif
    for (int run = 0; run < 7; ++run) {
      ours.add([&] { sum = dtask::sync_wait(pool, fib(large)); }, calls(large));
#ifdef DTASK_BENCH_WITH_TBB
      tbb.add([&] { arena.execute([&] { expected = tbb_fib(large); }); }, calls(large));
      if (sum != expected) return 1;
#endif
    }
    for (int run = 0; run < 3; ++run) {
      asio::thread_pool asio_pool(threads);
      ours_small.add([&] { sum = dtask::sync_wait(pool, fib(small)); }, calls(small));
      awaitable.add([&] { expected = asio::co_spawn(asio_pool, asio_fib(small), asio::use_future).get(); },
                    calls(small));
      if (sum != expected) return 1;
    }
#ifdef DTASK_BENCH_WITH_TBB
    bench::print({"fork-join fib" + suffix, ours.value(), "CPU-ns/task", "oneTBB parallel_invoke", tbb.value()});
#else
    bench::print({"fork-join fib" + suffix, ours.value(), "CPU-ns/task", "", 0});
#endif
    bench::print({"fork-join fib(" + std::to_string(small) + ")" + suffix, ours_small.value(), "CPU-ns/task",
                  "asio::awaitable operator &&", awaitable.value()});
  }
  return 0;
}
