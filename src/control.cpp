// SPDX-License-Identifier: BSL-1.0
// The bodies of control/, compiled once: for programs that define DTASK_SEPARATE_COMPILATION.
#include "dtask/control.hpp"
