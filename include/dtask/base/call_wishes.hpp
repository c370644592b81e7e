// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/retry_policy.hpp"

DTASK_BEGIN
/// @cond internal

/// How a call is to be treated, from its caller's options to the client's machine.
struct call_wishes {
  effect effect_class = effect::at_most_once;
  bool watch = false;                    ///< report the states of the job
  duration deadline = default_deadline;  ///< from the submission to the outcome
  duration no_worker_after = std::chrono::seconds(60);
  retry_policy retry;
};

/// @endcond
DTASK_END
