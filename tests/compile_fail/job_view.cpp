// SPDX-License-Identifier: BSL-1.0
// expect: holds a view
#include <memory>

#include "dtask/job.hpp"
#ifdef DTASK_CONTROL
struct argument {
  std::string value;
};
#else
struct argument {
  std::string_view value;
};
#endif
inline int take(argument) { return 1; }
using take_job = dtask::function_job<"take/1", &take>;
const auto entries = dtask::registry<take_job>::entries();
