// SPDX-License-Identifier: BSL-1.0
// What reaches an importing unit: names, operators, conversions and specialisations, and no macro.
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

import dtask;

#if defined(DTASK_VERSION_MAJOR) || defined(DTASK_BEGIN) || defined(DTASK_DEBUG)
#error "a module brings no macro"
#endif

struct picture {
  std::string name;
  std::vector<std::uint8_t> pixels;
};
struct verdict {
  std::string name;
  std::optional<int> brightest;
};
inline verdict look(const picture& p) {
  verdict out{p.name, std::nullopt};
  for (const int value : p.pixels)
    if (!out.brightest || value > *out.brightest) out.brightest = value;
  return out;
}
using look_job = dtask::function_job<"look/1", &look, dtask::pure>;

struct scale_job : dtask::job<"scale/1", dtask::idempotent> {
  int factor = 3;
  int operator()(int value) const { return value * factor; }
};

dtask::task<int> from_the_other_unit(int half);

dtask::task<int> both() {
  auto [one, other] = co_await dtask::when_all(from_the_other_unit(7), from_the_other_unit(14));
  co_return one + other;
}
dtask::task<int> late() {
  co_await dtask::sleep_for(std::chrono::hours(1));
  co_return 0;
}
dtask::task<int> on_a_cluster() {
  auto c = co_await dtask::cluster::connect<dtask::registry<look_job, scale_job>>("local://2");
  const picture given{"night", {1, 14, 2}};
  const verdict seen = co_await c.call<look_job>(given);
  const int scaled = co_await c.call<scale_job>(seen.brightest.value_or(0));
  co_await c.close();
  co_return seen.name == "night" ? scaled : 0;
}

int main() {
  const std::error_code closed = dtask::errc::closed;
  if (closed != dtask::errc::closed || closed.message() != "closed") return 1;
  if (dtask::sync_wait(both()) != 42) return 2;
  try {
    dtask::sync_wait(dtask::with_timeout(late(), std::chrono::milliseconds(1)));
    return 3;
  } catch (const dtask::error& e) {
    if (e.code() != dtask::errc::deadline_exceeded) return 4;
  }
  std::printf("%d\n", dtask::sync_wait(on_a_cluster()));
}
