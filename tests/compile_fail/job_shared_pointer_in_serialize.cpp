// SPDX-License-Identifier: BSL-1.0
// expect: holds a pointer
#include <memory>

#include "dtask/job.hpp"
struct argument {
#ifdef DTASK_CONTROL
  int value;
#else
  std::shared_ptr<int> value;
#endif
  template <class A>
  void serialize(A& a) {
    a(value);
  }
};
inline int take(argument) { return 1; }
using take_job = dtask::function_job<"take/1", &take>;
const auto entries = dtask::registry<take_job>::entries();
