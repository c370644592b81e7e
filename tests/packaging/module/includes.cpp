// SPDX-License-Identifier: BSL-1.0
// The unit that includes what the other imports.
#include <dtask/task.hpp>

dtask::task<int> from_the_other_unit(int half) { co_return half * 2; }
