// SPDX-License-Identifier: BSL-1.0
// expect: holds a C array
#include <memory>

#include "dtask/job.hpp"
#ifdef DTASK_CONTROL
struct argument {
  std::array<char, 8> value;
  int more;
};
#else
struct argument {
  char value[8];
  int more;
};
#endif
inline int take(argument) { return 1; }
using take_job = dtask::function_job<"take/1", &take>;
const auto entries = dtask::registry<take_job>::entries();
