// SPDX-License-Identifier: BSL-1.0
// expect: this job is not in the registry
#include "dtask/job.hpp"
inline int one() { return 1; }
inline int two() { return 2; }
using one_job = dtask::function_job<"one/1", &one>;
using two_job = dtask::function_job<"two/1", &two>;
#ifdef DTASK_CONTROL
using jobs = dtask::registry<one_job, two_job>;
#else
using jobs = dtask::registry<one_job>;
#endif
constexpr auto at = jobs::index<two_job>();
