// One hop through an io_context: `co_await asio::post(context, use_task)` against a plain Asio callback that posts itself again, and `use_awaitable` against the same.
// CPU nanoseconds per hop, the smallest of several interleaved runs.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstddef>
#include <cstdio>
#include <functional>

#include "cpu_time.hpp"
#include "dtask/runtime/io_scheduler.hpp"
#include "dtask/runtime/use_task.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/task.hpp"
#include "figure.hpp"

namespace asio = boost::asio;

namespace {
constexpr std::size_t hops = 1'000'000;

struct callback {
  asio::io_context& context;
  std::size_t left;
  void operator()() {
    if (--left != 0) asio::post(context, std::move(*this));
  }
};
dtask::task<> task_hops(asio::io_context& context) {
  for (std::size_t i = 0; i < hops; ++i) co_await asio::post(context, dtask::use_task);
}
asio::awaitable<void> awaitable_hops() {
  auto executor = co_await asio::this_coro::executor;
  for (std::size_t i = 0; i < hops; ++i) co_await asio::post(executor, asio::use_awaitable);
}

void run_callback() {
  asio::io_context context(1);
  asio::post(context, callback{context, hops});
  context.run();
}
void run_awaitable() {
  asio::io_context context(1);
  asio::co_spawn(context, awaitable_hops(), asio::detached);
  context.run();
}
/// A task without a stop source above it.
class root : dtask::detail::completion {
 public:
  root(dtask::scheduler& where, dtask::task<> t) : task_(std::move(t)) {
    env_.where = &where;
    done = [](dtask::detail::completion&, dtask::detail::promise_base&) noexcept { return std::coroutine_handle<>(); };
    auto& promise = task_.handle().promise();
    promise.env = &env_;
    promise.on_done = this;
    promise.run = &dtask::detail::task_promise<void>::start;
    where.post(promise);
  }

 private:
  dtask::environment env_;
  dtask::task<> task_;
};
void run_task() {
  asio::io_context context(1);
  const root r(dtask::scheduler_of(context), task_hops(context));
  context.run();
}
/// The same under a stop source that could cancel each hop.
void run_stoppable_task() {
  asio::io_context context(1);
  dtask::scope s(dtask::scheduler_of(context));
  dtask::spawn(s, &task_hops, std::ref(context));
  context.run();
}
}  // namespace

int main() {
  std::fprintf(stderr, "transfer mode: %s\n", DTASK_SYMMETRIC_TRANSFER ? "symmetric" : "loop");
  bench::smallest raw, plain, stoppable, awaitable;
  for (int run = 0; run < 15; ++run) {
    raw.add(run_callback, hops);
    plain.add(run_task, hops);
    stoppable.add(run_stoppable_task, hops);
    awaitable.add(run_awaitable, hops);
  }
  bench::print({"co_await post", plain.value(), "CPU-ns", "Asio callback", raw.value()});
  bench::print({"co_await post, cancellable", stoppable.value(), "CPU-ns", "Asio callback", raw.value()});
  bench::print({"co_await post with use_awaitable", awaitable.value(), "CPU-ns", "Asio callback", raw.value()});
  return 0;
}
