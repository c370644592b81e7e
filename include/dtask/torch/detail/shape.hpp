// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// Whether a tensor can have this shape: no negative extent, and strides and bytes that fit into 64 bits. An extent of
/// 0 makes it empty, but strides are computed from all others.
inline bool shape_fits(std::span<const std::int64_t> shape, std::size_t element_size) noexcept {
  std::uint64_t size = element_size;
  for (const std::int64_t n : shape) {
    if (n < 0) return false;
    const auto extent = static_cast<std::uint64_t>(std::max<std::int64_t>(n, 1));
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / extent) return false;
    size *= extent;
  }
  return true;
}

}  // namespace detail
DTASK_END
