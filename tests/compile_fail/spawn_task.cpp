// SPDX-License-Identifier: BSL-1.0
// expect: dtask: spawn takes a function that returns a task, and its arguments, not the task
#include "dtask/task.hpp"
inline dtask::task<> work(int) { co_return; }
void start(dtask::scope& s) {
#ifdef DTASK_CONTROL
  dtask::spawn(s, work, 3);
#else
  dtask::spawn(s, work(3));
#endif
}
