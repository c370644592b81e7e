// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/picture.hpp"

DTASK_BEGIN

namespace detail {

/// For each output position the first input position and the weights of the triangle filter, widened by the scale when
/// shrinking.
struct resize_axis {
  struct window {
    int first, count;
  };
  std::vector<window> windows;
  std::vector<float> weights;  ///< `stride` of them per output position
  int stride = 0;

  resize_axis(int in, int out) {
    const double scale = static_cast<double>(in) / out;
    const double support = std::max(scale, 1.0), inverse = 1.0 / support;
    stride = static_cast<int>(std::ceil(support)) * 2 + 1;
    windows.reserve(static_cast<std::size_t>(out));
    weights.assign(static_cast<std::size_t>(out) * static_cast<std::size_t>(stride), 0.0F);
    std::vector<double> w(static_cast<std::size_t>(stride));
    for (int i = 0; i < out; ++i) {
      const double center = (i + 0.5) * scale;
      const int first = std::max(static_cast<int>(center - support + 0.5), 0);
      const int count = std::min(static_cast<int>(center + support + 0.5), in) - first;
      double total = 0;
      for (int t = 0; t < count; ++t) {
        const double distance = std::abs((t + first - center + 0.5) * inverse);
        total += w[static_cast<std::size_t>(t)] = distance < 1.0 ? 1.0 - distance : 0.0;
      }
      for (int t = 0; t < count; ++t)
        weights[static_cast<std::size_t>(i) * static_cast<std::size_t>(stride) + static_cast<std::size_t>(t)] =
            static_cast<float>(w[static_cast<std::size_t>(t)] / total);
      windows.push_back({first, count});
    }
  }
  const float* of(int i) const noexcept {
    return weights.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(stride);
  }
};

// Four floats at once on every compiler in use: a pixel's channels and one that is ignored, or four values of a row.
using float4 = float __attribute__((vector_size(16)));
using int4 = std::int32_t __attribute__((vector_size(16)));
inline float4 load4(const float* from) noexcept {
  float4 v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store4(float* to, float4 v) noexcept { std::memcpy(to, &v, sizeof v); }

}  // namespace detail

/// Shrinks or enlarges a picture to `width` x `height` pixels into `out` (3 * width * height bytes of RGB): bilinear,
/// with antialiasing when shrinking.
///
/// Gives what Pillow's `resize(..., BILINEAR)` gives, whole grey levels between the two directions included (networks
/// are trained on such pictures); here and there one level differs. Precondition: all sizes are positive, those of `in`
/// at most 2^20 (sums are floats), and `in.rgb` holds what they say. Allocates two rows per tap and the tables.
/// Thread-safe.
inline void resize_bilinear(const picture& in, int width, int height, std::span<std::uint8_t> out) {
  using detail::float4, detail::load4, detail::store4;
  if (in.width == width && in.height == height) {
    std::copy(in.rgb.begin(), in.rgb.end(), out.begin());
    return;
  }
  const detail::resize_axis across(in.width, width), down(in.height, height);
  // Rows in floats, with room for the last values to be handled as a whole vector.
  const auto padded = [](std::size_t n) { return (n + 7) / 4 * 4; };
  const std::size_t in_row = in.row_bytes(), out_row = std::size_t{3} * static_cast<std::size_t>(width);
  const std::size_t kept = static_cast<std::size_t>(down.stride), stride = padded(out_row);
  std::vector<float> source(padded(in_row)), ring(kept * stride), sum(stride);
  // Each input row is shrunk across once and kept in the ring until the windows have passed it.
  const auto shrink_across = [&](int y) {
    const std::uint8_t* from = in.row(y);
    for (std::size_t i = 0; i < in_row; ++i) source[i] = from[i];
    float* to = ring.data() + (static_cast<std::size_t>(y) % kept) * stride;
    for (int x = 0; x < width; ++x, to += 3) {
      const auto [first, count] = across.windows[static_cast<std::size_t>(x)];
      const float* at = source.data() + std::size_t{3} * static_cast<std::size_t>(first);
      const float* w = across.of(x);
      float4 total = load4(at) * w[0] + 0.5F;
      for (int t = 1; t < count; ++t) total += load4(at + 3 * t) * w[t];
      store4(to, __builtin_convertvector(__builtin_convertvector(total, detail::int4), float4));
    }
  };
  std::vector<const float*> rows(kept);
  std::uint8_t* to = out.data();
  int done = 0;  // input rows before this one are in the ring or no longer needed
  for (int y = 0; y < height; ++y, to += out_row) {
    const auto [first, count] = down.windows[static_cast<std::size_t>(y)];
    for (done = std::max(done, first); done < first + count; ++done) shrink_across(done);
    const float* w = down.of(y);
    for (int t = 0; t < count; ++t)
      rows[static_cast<std::size_t>(t)] = ring.data() + (static_cast<std::size_t>(first + t) % kept) * stride;
    for (std::size_t i = 0; i < out_row; i += 4) {
      float4 total = load4(rows[0] + i) * w[0] + 0.5F;  // truncated below: rounds to the nearest
      for (int t = 1; t < count; ++t) total += load4(rows[static_cast<std::size_t>(t)] + i) * w[t];
      store4(sum.data() + i, total);
    }
    for (std::size_t i = 0; i < out_row; ++i) to[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(sum[i]));
  }
}

/// The same into a new picture.
inline picture resize_bilinear(const picture& in, int width, int height) {
  picture out{
      width, height,
      std::vector<std::uint8_t>(std::size_t{3} * static_cast<std::size_t>(width) * static_cast<std::size_t>(height))};
  resize_bilinear(in, width, height, out.rgb);
  return out;
}

DTASK_END
