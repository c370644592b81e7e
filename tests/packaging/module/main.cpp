// SPDX-License-Identifier: BSL-1.0
// examples/hello with `import dtask;`.
#include <coroutine>
#include <cstdio>
#include <ranges>
#include <tuple>

import dtask;

// A job: an ordinary function with a name and a version. `pure`: it may run again wherever a worker is lost.
inline unsigned long long count_primes(unsigned first, unsigned last) {
  unsigned long long primes = 0;
  for (unsigned n = first; n < last; ++n) {
    bool prime = n > 1;
    for (unsigned d = 2; prime && d * d <= n; ++d) prime = n % d != 0;
    primes += prime;
  }
  return primes;
}
using primes_job = dtask::function_job<"count_primes/1", &count_primes, dtask::pure>;

int main(int argc, char** argv) {
  return dtask::main<dtask::registry<primes_job>>(argc, argv, [](dtask::cluster& c) -> dtask::task<> {
    auto ranges = std::views::iota(0u, 100u) |
                  std::views::transform([](unsigned i) { return std::tuple(i * 10'000, (i + 1) * 10'000); });
    auto counts = c.map<primes_job>(ranges);
    unsigned long long total = 0;
    while (auto count = co_await counts.next()) total += count->value();
    std::printf("primes below one million: %llu\n", total);
  });
}
