// SPDX-License-Identifier: BSL-1.0
// expect: dtask: main takes a registry
#include "dtask/main.hpp"
inline int twice(int n) { return 2 * n; }
using twice_job = dtask::function_job<"twice/1", &twice, dtask::pure>;
#ifdef DTASK_CONTROL
using jobs = dtask::registry<twice_job>;
#else
using jobs = twice_job;
#endif
dtask::task<int> body(dtask::cluster&) { co_return 0; }
int main(int argc, char** argv) { return dtask::main<jobs>(argc, argv, body); }
