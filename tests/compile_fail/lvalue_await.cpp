// SPDX-License-Identifier: BSL-1.0
// expect: a task is awaited once, as an rvalue
#include <utility>

#include "dtask/task/task.hpp"

dtask::task<int> work() {
  const int value = 1;
  co_return value;
}

dtask::task<int> body() {
  auto once = work();
#ifdef DTASK_CONTROL
  const int value = co_await std::move(once);
#else
  const int value = co_await once;
#endif
  co_return value;
}
