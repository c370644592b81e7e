// SPDX-License-Identifier: BSL-1.0
// expect: has virtual functions
#include <memory>

#include "dtask/job.hpp"
struct argument {
#ifndef DTASK_CONTROL
  virtual ~argument() = default;
#endif
  int value = 0;
  template <class A>
  void serialize(A& a) {
    a(value);
  }
};
inline int take(argument) { return 1; }
using take_job = dtask::function_job<"take/1", &take>;
const auto entries = dtask::registry<take_job>::entries();
