// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// How pixels become what a network sees: `(pixel / 255 - mean) / deviation`, per channel.
struct normalisation {
  std::array<float, 3> mean{0.0F, 0.0F, 0.0F};       ///< in parts of 255
  std::array<float, 3> deviation{1.0F, 1.0F, 1.0F};  ///< in parts of 255; none of them 0

  /// Pixels with `channels` (1 or 3) bytes side by side into as many planes of `count` floats each, one after the other
  /// in `out`. Thread-safe.
  void apply(const std::uint8_t* pixels, std::size_t count, int channels, float* out) const noexcept {
    const auto scale = [this](std::size_t c) { return 1.0F / (255.0F * deviation[c]); };
    const auto offset = [this](std::size_t c) { return -mean[c] / deviation[c]; };
    if (channels == 1) return grey(pixels, count, scale(0), offset(0), out);
    const float s0 = scale(0), s1 = scale(1), s2 = scale(2), o0 = offset(0), o1 = offset(1), o2 = offset(2);
    float *red = out, *green = out + count, *blue = out + 2 * count;
    for (std::size_t i = 0; i < count; ++i, pixels += 3) {
      red[i] = static_cast<float>(pixels[0]) * s0 + o0;
      green[i] = static_cast<float>(pixels[1]) * s1 + o1;
      blue[i] = static_cast<float>(pixels[2]) * s2 + o2;
    }
  }

 private:
  // Four at once at every level of optimisation.
  static void grey(const std::uint8_t* pixels, std::size_t count, float scale, float offset, float* out) noexcept {
    using byte4 = std::uint8_t __attribute__((vector_size(4)));
    using int4 = std::int32_t __attribute__((vector_size(16)));
    using float4 = float __attribute__((vector_size(16)));
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      byte4 in;
      std::memcpy(&in, pixels + i, 4);
      const float4 value = __builtin_convertvector(__builtin_convertvector(in, int4), float4) * scale + offset;
      std::memcpy(out + i, &value, sizeof value);
    }
    for (; i < count; ++i) out[i] = static_cast<float>(pixels[i]) * scale + offset;
  }
};

DTASK_END
