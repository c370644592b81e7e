// SPDX-License-Identifier: BSL-1.0
// expect: dtask: a task does nothing until it is awaited
#include "dtask/task/task.hpp"

dtask::task<void> work() {
  const int done = 1;
  static_cast<void>(done);
  co_return;
}

dtask::task<void> body() {
  const int done = 1;
  static_cast<void>(done);
#ifdef DTASK_CONTROL
  co_await work();
#else
  work();
  co_return;
#endif
}
