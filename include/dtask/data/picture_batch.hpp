// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"

DTASK_BEGIN

/// Pictures with labels, ready for a network: what `idx_dataset` and `image_folder` load.
struct picture_batch {
  std::vector<std::uint64_t> samples;  ///< which of the dataset they are, in order
  std::int64_t channels = 1;           ///< 1: grey; 3: red, green, blue
  std::int64_t height = 0;             ///< pixels
  std::int64_t width = 0;              ///< pixels
  bytes inputs;                        ///< float32, [size, channels, height, width] row by row
  bytes targets;                       ///< int64, [size]: the class of each

  std::int64_t size() const noexcept { return static_cast<std::int64_t>(samples.size()); }  ///< number of pictures
  /// The memory that it keeps, for bounds in bytes.
  std::uint64_t size_bytes() const noexcept {
    return sizeof(*this) + samples.size() * sizeof(samples[0]) + inputs.size() + targets.size();
  }
};

DTASK_END
