// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/resize.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {
/// A grey picture of one row or column.
dtask::picture line(const std::vector<int>& levels, bool down) {
  dtask::picture p;
  const int n = static_cast<int>(levels.size());
  p.width = down ? 1 : n;
  p.height = down ? n : 1;
  for (const int v : levels) p.rgb.insert(p.rgb.end(), 3, static_cast<std::uint8_t>(v));
  return p;
}
std::vector<int> first_channel(const dtask::picture& p) {
  std::vector<int> out;
  for (std::size_t i = 0; i < p.rgb.size(); i += 3) out.push_back(p.rgb[i]);
  return out;
}
bool within_one(const std::vector<int>& a, const std::vector<int>& b) {
  bool near = a.size() == b.size();
  for (std::size_t i = 0; near && i < a.size(); ++i) near = std::abs(a[i] - b[i]) <= 1;
  return near;
}
}  // namespace

// The expected levels are those of Pillow 13.0.0: Image.fromarray(a).resize((w, h), Image.BILINEAR).
TEST_CASE("resize_bilinear: the levels of Pillow, shrinking and enlarging, in both directions") {
  const std::vector<int> in{0, 10, 200, 30, 255, 60, 7};
  const std::vector<std::vector<int>> want{
      {47, 124, 83}, {3, 116, 102, 168, 25}, {0, 10, 200, 30, 255, 60, 7}, {0, 5, 58, 191, 89, 109, 245, 109, 36, 7},
      {90},
  };
  const int sizes[] = {3, 5, 7, 10, 1};
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(sizes[i]);
    CHECK(within_one(first_channel(dtask::resize_bilinear(line(in, false), sizes[i], 1)), want[i]));
    CHECK(within_one(first_channel(dtask::resize_bilinear(line(in, true), 1, sizes[i])), want[i]));
  }
}

TEST_CASE("resize_bilinear: channels do not mix and flat pictures stay flat") {
  dtask::picture p{37, 23, {}};
  for (int i = 0; i < 37 * 23; ++i) p.rgb.insert(p.rgb.end(), {11, 128, 255});
  for (const int size : {1, 2, 5, 16, 40, 224}) {
    const dtask::picture out = dtask::resize_bilinear(p, size, size + 1);
    CHECK(out.width == size);
    CHECK(out.height == size + 1);
    bool flat = out.rgb.size() == out.row_bytes() * static_cast<std::size_t>(out.height);
    for (std::size_t i = 0; flat && i < out.rgb.size(); i += 3)
      flat = out.rgb[i] == 11 && out.rgb[i + 1] == 128 && out.rgb[i + 2] == 255;
    CHECK(flat);
  }
}

TEST_CASE("resize_bilinear: extreme shapes") {
  dtask::picture thin{3, 1500, std::vector<std::uint8_t>(3 * 3 * 1500, 77)};
  CHECK(dtask::resize_bilinear(thin, 224, 224).rgb == std::vector<std::uint8_t>(3 * 224 * 224, 77));
  dtask::picture dot{1, 1, {1, 2, 3}};
  const dtask::picture out = dtask::resize_bilinear(dot, 5, 4);
  CHECK(out.rgb.size() == 60);
  CHECK(out.rgb[57] == 1);
  CHECK(out.rgb[59] == 3);
}

TEST_CASE("resize_bilinear: the same size copies") {
  dtask::picture p{2, 1, {1, 2, 3, 4, 5, 6}};
  CHECK(dtask::resize_bilinear(p, 2, 1).rgb == p.rgb);
}
