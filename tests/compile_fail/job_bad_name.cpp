// SPDX-License-Identifier: BSL-1.0
// expect: a job's name is 1 to 120 of
#include "dtask/job.hpp"
inline int one() { return 1; }
#ifdef DTASK_CONTROL
using one_job = dtask::function_job<"one/1", &one>;
#else
using one_job = dtask::function_job<"one", &one>;
#endif
const auto entries = dtask::registry<one_job>::entries();
