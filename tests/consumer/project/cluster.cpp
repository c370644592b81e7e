// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <dtask/main.hpp>

int half(int n) { return n / 2; }
using half_job = dtask::function_job<"half/1", &half, dtask::pure>;

dtask::task<int> body(dtask::cluster& c) {
  const int answer = co_await c.call<half_job>(84);
  std::printf("%d\n", answer);
  co_return 0;
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<half_job>>(argc, argv, body); }
