// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// A decoded picture: 8-bit RGB, rows from the top, pixels from the left, three bytes a pixel, no padding between rows.
struct picture {
  int width = 0;                  ///< pixels
  int height = 0;                 ///< pixels
  std::vector<std::uint8_t> rgb;  ///< 3 * width * height bytes

  /// Bytes of a row, and the distance from one to the next.
  std::size_t row_bytes() const noexcept { return std::size_t{3} * static_cast<std::size_t>(width); }
  /// The first byte of a row, from the top. Precondition: `0 <= y < height`.
  const std::uint8_t* row(int y) const noexcept { return rgb.data() + static_cast<std::size_t>(y) * row_bytes(); }
  /// The same, to be written.
  std::uint8_t* row(int y) noexcept { return rgb.data() + static_cast<std::size_t>(y) * row_bytes(); }
};

DTASK_END
