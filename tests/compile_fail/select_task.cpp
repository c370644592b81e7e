// SPDX-License-Identifier: BSL-1.0
// expect: a task cannot give back what it took: when_any waits for tasks
#include <chrono>

#include "dtask/task/channel.hpp"
#include "dtask/task/select.hpp"
#include "dtask/task/sleep.hpp"
#include "dtask/task/task.hpp"

dtask::task<int> pops(dtask::channel<int>& c) {
  const auto v = co_await c.pop();
  co_return v ? *v : 0;
}

dtask::task<> body(dtask::channel<int>& c) {
#ifdef DTASK_CONTROL
  co_await dtask::select(c.pop(), dtask::sleep_for(std::chrono::seconds(1)));
#else
  co_await dtask::select(pops(c), dtask::sleep_for(std::chrono::seconds(1)));
#endif
}
