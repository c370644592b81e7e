// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "dtask/base/config.hpp"
#include "dtask/data/image_view.hpp"
#include "dtask/data/sample_random.hpp"

DTASK_BEGIN

/// Moves the window by (`dx`, `dy`) pixels, right and down where positive: pixel (x, y) becomes what was at (x + dx, y
/// + dy), and `fill` where that is outside. In place; thread-safe for different pictures.
inline void shift_window(image_view image, int dx, int dy, std::uint8_t fill = 0) noexcept {
  const std::size_t row_bytes = image.row_bytes();
  const auto shift = static_cast<std::size_t>(std::abs(dx)) * static_cast<std::size_t>(image.channels);
  // In the order in which no row is overwritten before it has been read.
  for (int i = 0; i < image.height; ++i) {
    const int y = dy >= 0 ? i : image.height - 1 - i, from = y + dy;
    std::uint8_t* const to = image.row(y);
    if (from < 0 || from >= image.height || shift >= row_bytes) {
      std::memset(to, fill, row_bytes);
      continue;
    }
    const std::uint8_t* const source = image.row(from);
    if (dx >= 0) {
      std::memmove(to, source + shift, row_bytes - shift);
      std::memset(to + row_bytes - shift, fill, shift);
    } else {
      std::memmove(to + shift, source, row_bytes - shift);
      std::memset(to, fill, shift);
    }
  }
}

/// A step of an augmentation: padded on all sides and cropped to its size at a random place. Two draws.
struct random_crop {
  int padding = 4;        ///< pixels on each side; not negative
  std::uint8_t fill = 0;  ///< what the padding is made of, before it is normalised
  /// Draws the place and moves the window there (`shift_window`).
  void operator()(image_view image, sample_random& random) const noexcept {
    const auto places = static_cast<std::uint64_t>(padding) * 2 + 1;
    const int dx = static_cast<int>(random.below(places)) - padding;
    const int dy = static_cast<int>(random.below(places)) - padding;
    shift_window(image, dx, dy, fill);
  }
};

DTASK_END
