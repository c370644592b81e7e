// SPDX-License-Identifier: BSL-1.0
// One hop through the io_context of an io_thread: `co_await asio::post(context, use_task)` against a plain Asio
// callback that posts itself again, and `use_awaitable` beside it. CPU nanoseconds per hop, the smallest of several
// interleaved runs.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <cstddef>
#include <cstdio>

#include "cpu_time.hpp"
#include "dtask/runtime/io_thread.hpp"
#include "dtask/runtime/use_task.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/sync_wait.hpp"
#include "figure.hpp"

namespace asio = boost::asio;

namespace {
constexpr std::size_t hops = 1'000'000;

struct callback {
  asio::io_context& context;
  std::size_t left;
  dtask::one_shot<>& end;
  void operator()() {
    if (--left != 0)
      asio::post(context, std::move(*this));
    else
      end.set();
  }
};
dtask::task<> task_hops(asio::io_context& context) {
  for (std::size_t i = 0; i < hops; ++i) co_await asio::post(context, dtask::use_task);
}
/// Under a stop source that could cancel each hop.
dtask::task<> stoppable_hops(asio::io_context& context) {
  dtask::stop_source stop;
  co_await dtask::with_stop(stop, task_hops(context));
}
asio::awaitable<void> awaitable_hops() {
  auto executor = co_await asio::this_coro::executor;
  for (std::size_t i = 0; i < hops; ++i) co_await asio::post(executor, asio::use_awaitable);
}
}  // namespace

int main() {
  std::fprintf(stderr, "transfer mode: %s\n", DTASK_SYMMETRIC_TRANSFER ? "symmetric" : "loop");
  dtask::io_thread io;
  bench::smallest raw, plain, stoppable, awaitable;
  for (int run = 0; run < 15; ++run) {
    raw.add(
        [&] {
          dtask::one_shot<> end;
          asio::post(io.context(), callback{io.context(), hops, end});
          dtask::sync_wait(end.wait());
        },
        hops);
    plain.add([&] { dtask::sync_wait(io.scheduler(), task_hops(io.context())); }, hops);
    stoppable.add([&] { dtask::sync_wait(io.scheduler(), stoppable_hops(io.context())); }, hops);
    awaitable.add([&] { asio::co_spawn(io.context(), awaitable_hops(), asio::use_future).get(); }, hops);
  }
  bench::print({"co_await post", plain.value(), "CPU-ns", "Asio callback", raw.value()});
  bench::print({"co_await post, cancellable", stoppable.value(), "CPU-ns", "Asio callback", raw.value()});
  bench::print({"co_await post with use_awaitable", awaitable.value(), "CPU-ns", "Asio callback", raw.value()});
  return 0;
}
