// SPDX-License-Identifier: BSL-1.0
// A pipeline over two bounded queues: one task makes numbers, three keep the primes, one adds them up.
#include <cstdio>
#include <dtask/runtime/work_pool.hpp>
#include <dtask/task.hpp>

using queue = dtask::channel<unsigned>;

dtask::task<> make_numbers(queue* out, unsigned last) {
  for (unsigned n = 2; n <= last; ++n) co_await out->push(n);  // waits while the queue is full: the back-pressure
  out->close();                                                // what lies in it is still popped
}

bool is_prime(unsigned n) {
  for (unsigned d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return n > 1;
}

dtask::task<> keep_primes(queue* in, queue* out) {
  while (auto n = co_await in->pop())
    if (is_prime(*n)) co_await out->push(*n);
}
dtask::task<> keep_primes_three_fold(queue* in, queue* out) {
  co_await dtask::when_all(keep_primes(in, out), keep_primes(in, out), keep_primes(in, out));
  out->close();  // only when the last of them has ended
}

dtask::task<unsigned long> add_up(queue* in) {
  unsigned long sum = 0;
  while (auto n = co_await in->pop()) sum += *n;
  co_return sum;
}

dtask::task<> body() {
  queue numbers(64), primes(16);
  // Should one of the three fail, the others are stopped at their next push or pop: nobody waits for ever.
  const auto ends = co_await dtask::when_all(make_numbers(&numbers, 20'000), keep_primes_three_fold(&numbers, &primes),
                                             add_up(&primes));
  std::printf("sum of the primes up to 20000: %lu\n", std::get<2>(ends));
}

int main() { dtask::sync_wait(dtask::work_pool::shared(), body()); }

// Output:
// sum of the primes up to 20000: 21171191
