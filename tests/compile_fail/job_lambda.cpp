// SPDX-License-Identifier: BSL-1.0
// expect: dtask: a function_job runs a function: give the lambda a name
#include "dtask/job.hpp"
inline int twice(int n) { return 2 * n; }
#ifdef DTASK_CONTROL
using twice_job = dtask::function_job<"twice/1", &twice, dtask::pure>;
#else
using twice_job = dtask::function_job<"twice/1", [](int n) { return 2 * n; }, dtask::pure>;
#endif
bool good = dtask::require_job<twice_job>();
