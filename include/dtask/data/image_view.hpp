// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/data/picture.hpp"

DTASK_BEGIN

/// The pixels of a picture that somebody else holds, to be changed in place: 8 bits a channel, channels of a pixel side
/// by side, rows from the top, no padding between rows.
struct image_view {
  std::uint8_t* pixels = nullptr;  ///< channels * width * height bytes
  int width = 0;                   ///< pixels
  int height = 0;                  ///< pixels
  int channels = 1;                ///< bytes of a pixel

  image_view() = default;  ///< of no picture
  /// Of `c * w * h` bytes at `p`, which outlive it.
  image_view(std::uint8_t* p, int w, int h, int c) noexcept : pixels(p), width(w), height(h), channels(c) {}
  /// Of a picture, which outlives it and keeps its size meanwhile.
  image_view(picture& p) noexcept : image_view(p.rgb.data(), p.width, p.height, 3) {}

  /// Bytes of a row, and the distance from one to the next.
  std::size_t row_bytes() const noexcept {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(width);
  }
  std::size_t size_bytes() const noexcept { return row_bytes() * static_cast<std::size_t>(height); }  ///< of all rows
  /// The first byte of a row, from the top. Precondition: `0 <= y < height`.
  std::uint8_t* row(int y) const noexcept { return pixels + static_cast<std::size_t>(y) * row_bytes(); }
};

DTASK_END
