// SPDX-License-Identifier: BSL-1.0
#pragma once
// CPU time of the whole process for a piece of work. On a machine that others use too it says more than the clock on
// the wall.
#include <ctime>
#include <limits>

namespace bench {

/// CPU nanoseconds of all threads so far, user and system.
inline double cpu_ns() {
  std::timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

/// The smallest cost per operation of several runs: what disturbs a measurement only adds.
class smallest {
 public:
  template <class F>
  void add(F&& work, double operations) {
    const double before = cpu_ns();
    work();
    const double each = (cpu_ns() - before) / operations;
    if (each < value_) value_ = each;
  }
  double value() const { return value_; }

 private:
  double value_ = std::numeric_limits<double>::infinity();
};

}  // namespace bench
