// SPDX-License-Identifier: BSL-1.0
// expect: an aggregate with a base class
#include <memory>

#include "dtask/job.hpp"
struct base {
  int value;
};
#ifdef DTASK_CONTROL
struct argument {
  base first;
  int more;
};
#else
struct argument : base {
  int more;
};
#endif
inline int take(argument) { return 1; }
using take_job = dtask::function_job<"take/1", &take>;
const auto entries = dtask::registry<take_job>::entries();
