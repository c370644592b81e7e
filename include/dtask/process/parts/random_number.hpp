// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <random>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// From the system's source: keys and cookies come from it.
inline std::uint64_t random_number() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

}  // namespace detail
DTASK_END
