// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <dtask/dtask.hpp>

#if !DTASK_DEBUG
#error "the library's definitions reach who links it"
#endif

int half(int n) { return n / 2; }
using half_job = dtask::function_job<"half/1", &half, dtask::pure>;

dtask::task<int> body() {
  auto connecting = dtask::cluster::connect<dtask::registry<half_job>>("local://1");
  dtask::cluster c = co_await std::move(connecting);
  const int answer = co_await c.call<half_job>(84);
  co_await c.close();
  co_return answer;
}

int main() { std::printf("%d\n", dtask::sync_wait(body())); }
