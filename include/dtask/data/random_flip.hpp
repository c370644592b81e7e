// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/data/image_view.hpp"
#include "dtask/data/sample_random.hpp"

DTASK_BEGIN

/// Exchanges left and right. In place; thread-safe for different pictures.
inline void flip_horizontally(image_view image) noexcept {
  const int c = image.channels;
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* const row = image.row(y);
    if (c == 1) {
      std::reverse(row, row + image.width);
      continue;
    }
    std::uint8_t *left = row, *right = row + static_cast<std::ptrdiff_t>(image.width - 1) * c;
    for (; left < right; left += c, right -= c) std::swap_ranges(left, left + c, right);
  }
}

/// A step of an augmentation: left and right exchanged with a probability. One draw.
struct random_flip {
  double probability = 0.5;  ///< of the exchange, from 0 to 1
  /// Draws, and exchanges left and right or leaves the picture as it is.
  void operator()(image_view image, sample_random& random) const noexcept {
    if (random.chance(probability)) flip_horizontally(image);
  }
};

DTASK_END
