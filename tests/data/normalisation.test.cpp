// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/normalisation.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

TEST_CASE("normalisation: grey, for every length") {
  const dtask::normalisation scale{.mean = {0.25F}, .deviation = {0.5F}};
  for (std::size_t n = 0; n < 20; ++n) {
    std::vector<std::uint8_t> pixels;
    for (std::size_t i = 0; i < n; ++i) pixels.push_back(static_cast<std::uint8_t>(255 - 13 * i));
    std::vector<float> out(n + 1, -9);
    scale.apply(pixels.data(), n, 1, out.data());
    for (std::size_t i = 0; i < n; ++i)
      CHECK(out[i] == doctest::Approx((static_cast<float>(pixels[i]) / 255 - 0.25F) / 0.5F));
    CHECK(out[n] == -9);
  }
}

TEST_CASE("normalisation: colour goes into planes") {
  const dtask::normalisation scale{.mean = {0, 0.5F, 1}, .deviation = {1, 0.5F, 2}};
  const std::vector<std::uint8_t> pixels{0, 0, 0, 255, 255, 255};
  std::vector<float> out(6);
  scale.apply(pixels.data(), 2, 3, out.data());
  const std::vector<float> expected{0, 1, -1, 1, -0.5F, 0};
  for (std::size_t i = 0; i < 6; ++i) CHECK(out[i] == doctest::Approx(expected[i]));
}
