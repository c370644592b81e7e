// SPDX-License-Identifier: BSL-1.0
// expect: cereal was included before dtask without CEREAL_THREAD_SAFE=1
#ifndef DTASK_CONTROL
#include <cereal/cereal.hpp>
#endif
#include "dtask/job.hpp"
