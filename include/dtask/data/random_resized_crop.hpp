// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/picture.hpp"
#include "dtask/data/resize.hpp"
#include "dtask/data/sample_random.hpp"

DTASK_BEGIN

/// A part of a picture. Precondition: it lies inside. Throws std::bad_alloc.
inline picture crop(const picture& from, int left, int top, int width, int height) {
  picture out{width, height, {}};
  out.rgb.resize(out.row_bytes() * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y)
    std::memcpy(out.row(y), from.row(top + y) + std::size_t{3} * static_cast<std::size_t>(left), out.row_bytes());
  return out;
}

/// A step of an augmentation: a random part of the picture, resized (Szegedy and others: Going Deeper with
/// Convolutions, 2014; with the draws of torchvision's RandomResizedCrop: area uniform, aspect ratio uniform in its
/// logarithm, ten attempts, then the largest part in the middle whose ratio is allowed). `exp` and `log` round
/// differently in different C libraries, so a part may differ by a pixel between systems.
struct random_resized_crop {
  int width = 224;             ///< of the result, pixels
  int height = 224;            ///< of the result, pixels
  double min_area = 0.08;      ///< of the part, in parts of the picture's
  double max_area = 1.0;       ///< of the part, in parts of the picture's; not below `min_area`
  double min_ratio = 3.0 / 4;  ///< width to height of the part
  double max_ratio = 4.0 / 3;  ///< width to height of the part; not below `min_ratio`

  /// Draws a part and puts it, resized, in place of the picture. Throws std::bad_alloc.
  void operator()(picture& image, sample_random& random) const {
    const double area = static_cast<double>(image.width) * image.height;
    int w = 0, h = 0, left = 0, top = 0;
    for (int attempt = 0; attempt < 10 && w == 0; ++attempt) {
      const double wanted = area * random.uniform(min_area, max_area);
      const double ratio = std::exp(random.uniform(std::log(min_ratio), std::log(max_ratio)));
      const int try_w = static_cast<int>(std::lround(std::sqrt(wanted * ratio)));
      const int try_h = static_cast<int>(std::lround(std::sqrt(wanted / ratio)));
      if (try_w < 1 || try_h < 1 || try_w > image.width || try_h > image.height) continue;
      w = try_w, h = try_h;
      left = static_cast<int>(random.below(static_cast<std::uint64_t>(image.width - w) + 1));
      top = static_cast<int>(random.below(static_cast<std::uint64_t>(image.height - h) + 1));
    }
    if (w == 0) {
      const double ratio = static_cast<double>(image.width) / image.height;
      w = image.width, h = image.height;
      if (ratio < min_ratio) h = std::clamp(static_cast<int>(std::lround(w / min_ratio)), 1, image.height);
      if (ratio > max_ratio) w = std::clamp(static_cast<int>(std::lround(h * max_ratio)), 1, image.width);
      left = (image.width - w) / 2, top = (image.height - h) / 2;
    }
    if (w != image.width || h != image.height) image = crop(image, left, top, w, h);
    if (w != width || h != height) image = resize_bilinear(image, width, height);
  }
};

DTASK_END
