// SPDX-License-Identifier: BSL-1.0
// Hands jobs over without waiting for them, takes the result that is needed, and gives the others up.
#include <cstdio>
#include <dtask/main.hpp>
#include <string>

using number = unsigned long long;

/// The first divisor of n from `first` on; it may look for a very long time.
inline number find_divisor(dtask::job_context& ctx, number n, number first) {
  for (number d = first;; ++d) {
    if (n % d == 0) return d;
    if (d % 4096 == 0) ctx.stop().check();  // throws where its caller, its deadline or its worker says so
  }
}
using divisor_job = dtask::function_job<"find_divisor/1", &find_divisor, dtask::pure>;

dtask::task<> body(dtask::cluster& c) {
  const number n = 1'000'003ull * 1'000'000'000'039ull;
  auto small = co_await c.submit<divisor_job>(n, 2);             // back as soon as there is room for it
  auto large = co_await c.submit<divisor_job>(n, 100'000'000u);  // the other divisor is an hour away from here

  const number divisor = co_await small.result();
  std::printf("%llu = %llu * %llu\n", n, divisor, n / divisor);

  large.cancel();  // stops it where it runs; destroying the handle does the same
  const auto end = co_await large.outcome();
  std::printf("the other search: %s\n", end ? "found one too" : dtask::to_string(end.error().code()).data());
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<divisor_job>>(argc, argv, body); }

// Run: --on local://2
// Run: --on spawn://2
// Output:
// 1000003000039000117 = 1000003 * 1000000000039
// the other search: cancelled
