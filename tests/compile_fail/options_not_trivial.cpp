// SPDX-License-Identifier: BSL-1.0
// expect: options are trivially destructible
#include <string>
#include <string_view>

#include "dtask/node/call_options.hpp"
struct my_options {
#ifdef DTASK_CONTROL
  std::string_view name;
#else
  std::string name;
#endif
};
static_assert(dtask::require_options<my_options>());
