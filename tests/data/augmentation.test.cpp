// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/augmentation.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dtask/data/random_crop.hpp"
#include "dtask/data/random_flip.hpp"
#include "dtask/data/random_resized_crop.hpp"

namespace {
std::string text(const dtask::image_view& image) {
  return {reinterpret_cast<const char*>(image.pixels), image.size_bytes()};
}
/// A grey picture of 4 x 3.
struct grey {
  std::string pixels = "abcdefghijkl";
  dtask::image_view view() { return {reinterpret_cast<std::uint8_t*>(pixels.data()), 4, 3, 1}; }
};
dtask::picture gradient(int width, int height) {
  dtask::picture p{width, height, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (const int v : {x, y, 7}) p.rgb.push_back(static_cast<std::uint8_t>(v));
  return p;
}
}  // namespace

TEST_CASE("flip_horizontally: grey and colour, odd and even widths") {
  grey g;
  dtask::flip_horizontally(g.view());
  CHECK(g.pixels == "dcbahgfelkji");
  std::string rgb = "abcdefghiABCDEFGHI";
  dtask::flip_horizontally({reinterpret_cast<std::uint8_t*>(rgb.data()), 3, 2, 3});
  CHECK(rgb == "ghidefabcGHIDEFABC");
}

TEST_CASE("random_flip: about as often as it should, and the same for the same sample") {
  int flipped = 0;
  for (std::uint64_t s = 0; s < 1000; ++s) {
    grey a, b;
    dtask::sample_random one(1, 2, s), again(1, 2, s);
    dtask::random_flip{0.3}(a.view(), one);
    dtask::random_flip{0.3}(b.view(), again);
    REQUIRE(a.pixels == b.pixels);
    flipped += a.pixels.front() == 'd';
  }
  CHECK(flipped > 240);
  CHECK(flipped < 360);
}

TEST_CASE("shift_window: every direction, and beyond the picture") {
  const auto shifted = [](int dx, int dy) {
    grey g;
    dtask::shift_window(g.view(), dx, dy, '.');
    return g.pixels;
  };
  CHECK(shifted(0, 0) == "abcdefghijkl");
  CHECK(shifted(1, 0) == "bcd.fgh.jkl.");
  CHECK(shifted(-1, 0) == ".abc.efg.ijk");
  CHECK(shifted(0, 1) == "efghijkl....");
  CHECK(shifted(0, -1) == "....abcdefgh");
  CHECK(shifted(2, 2) == "kl..........");
  CHECK(shifted(-3, -1) == ".......a...e");
  CHECK(shifted(4, 0) == "............");
  CHECK(shifted(0, -3) == "............");
  CHECK(shifted(100, 100) == "............");
  std::string rgb = "abcdefABCDEF";
  dtask::shift_window({reinterpret_cast<std::uint8_t*>(rgb.data()), 2, 2, 3}, 1, 0, '.');
  CHECK(rgb == "def...DEF...");
}

TEST_CASE("random_crop: all places, each about equally often") {
  std::vector<int> seen(9, 0);
  for (std::uint64_t s = 0; s < 1800; ++s) {
    std::string pixels(9, 'o');
    pixels[4] = 'x';
    dtask::sample_random random(4, 0, s);
    dtask::random_crop{.padding = 1, .fill = '.'}({reinterpret_cast<std::uint8_t*>(pixels.data()), 3, 3, 1}, random);
    ++seen[pixels.find('x')];
  }
  for (const int n : seen) {
    CHECK(n > 130);
    CHECK(n < 270);
  }
}

TEST_CASE("crop: a part of a picture") {
  const dtask::picture part = dtask::crop(gradient(6, 5), 2, 1, 3, 2);
  CHECK(part.width == 3);
  CHECK(part.height == 2);
  CHECK(part.rgb == std::vector<std::uint8_t>{2, 1, 7, 3, 1, 7, 4, 1, 7, 2, 2, 7, 3, 2, 7, 4, 2, 7});
}

TEST_CASE("random_resized_crop: the size that was asked for, parts inside, the same for the same sample") {
  const dtask::random_resized_crop step{.width = 20, .height = 10};
  double least = 1;
  for (std::uint64_t s = 0; s < 200; ++s) {
    dtask::picture a = gradient(100, 80), b = a;
    dtask::sample_random one(1, 1, s), again(1, 1, s);
    step(a, one);
    step(b, again);
    REQUIRE(a.width == 20);
    REQUIRE(a.height == 10);
    REQUIRE(a.rgb == b.rgb);
    // The gradient tells which part it was.
    const double across = a.rgb[19 * 3] - a.rgb[0], down = a.rgb[9 * 60 + 1] - a.rgb[1];
    REQUIRE(across > 10);
    REQUIRE(down > 10);
    least = std::min(least, across * down / 8000);
  }
  CHECK(least < 0.2);
  // Pictures so long that no attempt fits give their middle.
  dtask::picture strip = gradient(200, 2);
  dtask::sample_random random(1, 1, 1);
  dtask::random_resized_crop{.width = 3, .height = 2, .min_area = 0.9}(strip, random);
  CHECK(strip.width == 3);
  CHECK(strip.rgb[0] >= 98);
  CHECK(strip.rgb[6] <= 101);
  // The whole picture, where only that is allowed.
  dtask::picture whole = gradient(30, 30), same = whole;
  dtask::random_resized_crop{.width = 30, .height = 30, .min_area = 1, .min_ratio = 1, .max_ratio = 1}(whole, random);
  CHECK(whole.rgb == same.rgb);
}

TEST_CASE("augmentation: steps of both kinds, and any function") {
  dtask::augmentation steps;
  CHECK(steps.empty());
  steps.then(dtask::random_flip{1})
      .then(dtask::random_resized_crop{})
      .then([](dtask::image_view image, dtask::sample_random&) { image.pixels[0] = 'X'; });
  CHECK_FALSE(steps.empty());
  CHECK(steps.on_pictures().size() == 1);
  REQUIRE(steps.on_views().size() == 2);
  grey g;
  dtask::sample_random random(1, 1, 1);
  for (const auto& step : steps.on_views()) step(g.view(), random);
  CHECK(text(g.view()) == "Xcbahgfelkji");
}
