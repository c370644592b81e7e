// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/failure.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/base/retry_policy.hpp"

DTASK_BEGIN
namespace detail {

/// A call as its caller wants it.
struct call_form {
  std::uint32_t type = 0;  ///< position in the client's list of jobs
  effect effect_class = effect::at_most_once;
  bool watch = false;  ///< keep `state` up to date
  duration deadline = default_deadline;
  duration no_worker_after{};
  retry_policy retry;
  payload arguments;
};

/// The one end of a call as it came, not yet decoded.
struct call_reply {
  failure why;  ///< code ok: the value is there
  payload value;
  std::uint32_t attempts = 0;
  std::string worker;
};

}  // namespace detail
DTASK_END
