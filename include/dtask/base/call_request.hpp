// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/call_wishes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/payload.hpp"

DTASK_BEGIN
/// @cond internal

/// A call as its caller wants it.
struct call_request {
  std::uint32_t type = 0;  ///< position in the client's list of jobs
  call_wishes wishes;
  payload arguments;
};

/// @endcond
DTASK_END
