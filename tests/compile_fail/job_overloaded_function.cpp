// SPDX-License-Identifier: BSL-1.0
// expect: unable to deduce|incompatible initializer|couldn't infer
#include "dtask/job.hpp"
inline int twice(int n) { return 2 * n; }
inline double twice(double n) { return 2 * n; }
// A template argument cannot choose between overloads; docs/jobs.md says how it is done.
#ifdef DTASK_CONTROL
using twice_job = dtask::function_job<"twice/1", static_cast<int (*)(int)>(&twice), dtask::pure>;
#else
using twice_job = dtask::function_job<"twice/1", &twice, dtask::pure>;
#endif
bool good = dtask::require_job<twice_job>();
