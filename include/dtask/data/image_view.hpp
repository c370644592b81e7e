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
  int width = 0;
  int height = 0;
  int channels = 1;

  image_view() = default;
  image_view(std::uint8_t* p, int w, int h, int c) noexcept : pixels(p), width(w), height(h), channels(c) {}
  image_view(picture& p) noexcept : image_view(p.rgb.data(), p.width, p.height, 3) {}

  std::size_t row_bytes() const noexcept {
    return static_cast<std::size_t>(channels) * static_cast<std::size_t>(width);
  }
  std::size_t size_bytes() const noexcept { return row_bytes() * static_cast<std::size_t>(height); }
  std::uint8_t* row(int y) const noexcept { return pixels + static_cast<std::size_t>(y) * row_bytes(); }
};

DTASK_END
