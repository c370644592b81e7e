// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/failure.hpp"
#include "dtask/base/payload.hpp"

DTASK_BEGIN
namespace detail {

/// The one end of a call as it came, not yet decoded.
struct call_reply {
  failure why;  ///< code ok: the value is there
  payload value;
  std::uint32_t attempts = 0;
  std::string worker;
};

}  // namespace detail
DTASK_END
