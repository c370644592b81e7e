// SPDX-License-Identifier: BSL-1.0
// Ends what takes too long, what nobody needs any more, and what computes without ever waiting.
#include <chrono>
#include <cstdio>
#include <dtask/runtime/work_pool.hpp>
#include <dtask/task.hpp>
#include <exception>

using namespace std::chrono_literals;

dtask::task<long> smallest_divisor(long n) {
  const dtask::environment& env = co_await dtask::this_environment();
  for (long d = 2; d * d <= n; ++d) {
    if (n % d == 0) co_return d;
    if (d % 4096 == 0) env.token().check();  // it awaits nothing, so it has to ask whether it shall end
  }
  co_return n;
}

dtask::task<> close_books(int served) {
  co_await dtask::sleep_for(1ms);
  std::printf("served: %d\n", served);
}
dtask::task<> serve(dtask::channel<int>* orders, dtask::latch* done) {
  int served = 0;
  std::exception_ptr stopped;
  try {
    for (; auto order = co_await orders->pop(); ++served) done->count_down();
  } catch (const dtask::error&) {
    stopped = std::current_exception();
  }
  co_await dtask::shield(close_books(served));  // clean-up that waits, although stop was requested
  if (stopped) std::rethrow_exception(stopped);
}
dtask::task<> order_three(dtask::channel<int>* orders, dtask::latch* done) {
  for (int order = 1; order <= 3; ++order) co_await orders->push(order);
  co_await done->wait();
}

dtask::task<> body() {
  const long divisor = co_await dtask::with_timeout(smallest_divisor(1'000'003L * 1'000'033L), 1min);
  std::printf("in time: %ld\n", divisor);
  try {
    co_await dtask::with_timeout(smallest_divisor((1L << 61) - 1), 20ms);  // a prime: 1.5e9 divisions
  } catch (const dtask::error& e) {
    std::printf("too long: %s\n", dtask::to_string(e.code()).data());
  }
  dtask::channel<int> orders(1);
  dtask::latch done(3);
  // The customer ends first, which stops the waiter; both have ended when this goes on.
  co_await dtask::when_any(serve(&orders, &done), order_three(&orders, &done));
}

int main() { dtask::sync_wait(dtask::work_pool::shared(), body()); }

// Output:
// in time: 1000003
// too long: deadline_exceeded
// served: 3
