// SPDX-License-Identifier: BSL-1.0
// expect: dtask: an item of a mapped range is the one argument of the job, or a tuple of all its arguments
#include <tuple>
#include <vector>

#include "dtask/job.hpp"
#include "dtask/node.hpp"
inline int add(int a, int b) { return a + b; }
using add_job = dtask::function_job<"add/1", &add, dtask::pure>;
#ifdef DTASK_CONTROL
using item = std::tuple<int, int>;
#else
using item = int;
#endif
void use(dtask::cluster& c) {
  std::vector<item> items;
  auto out = c.map<add_job>(items);
}
