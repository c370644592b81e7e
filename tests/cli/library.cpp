// SPDX-License-Identifier: BSL-1.0
// What DTASK_SEPARATE_COMPILATION asks for: the one unit that holds the bodies.
#include "dtask/src.hpp"
