// SPDX-License-Identifier: BSL-1.0
// The bodies of net/, compiled once: for programs that define DTASK_SEPARATE_COMPILATION.
#include "dtask/net.hpp"
