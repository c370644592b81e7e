// SPDX-License-Identifier: BSL-1.0
// expect: dtask: the body of a program is a coroutine
#include "dtask/main.hpp"
inline int twice(int n) { return 2 * n; }
using jobs = dtask::registry<dtask::function_job<"twice/1", &twice, dtask::pure>>;
#ifdef DTASK_CONTROL
dtask::task<int> body(dtask::cluster&) { co_return 0; }
#else
void body(dtask::cluster&) {}
#endif
int main(int argc, char** argv) { return dtask::main<jobs>(argc, argv, body); }
