// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <dtask/task.hpp>

dtask::task<int> half() {
  const int value = 21;
  co_return value;
}

dtask::task<int> whole() {
  const int a = co_await half();
  const int b = co_await half();
  co_return a + b;
}

int main() { std::printf("%d\n", dtask::sync_wait(whole())); }
