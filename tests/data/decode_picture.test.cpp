// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/decode_picture.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "dtask/base/read_file.hpp"
#include "dtask/data/resize.hpp"
#include "encode.hpp"
#include "program.hpp"

namespace {

using dtask_test::encode_jpeg;
using dtask_test::encode_png;
using dtask_test::pixels;

using colour = std::array<int, 3>;
constexpr colour red{255, 0, 0}, green{0, 255, 0}, blue{0, 0, 255}, yellow{255, 255, 0};

/// 32 x 16 pixels, a colour in each quarter: red green / blue yellow.
pixels quarters() {
  pixels out;
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 32; ++x)
      for (const int c : y < 8 ? (x < 16 ? red : green) : (x < 16 ? blue : yellow))
        out.push_back(static_cast<std::uint8_t>(c));
  return out;
}
bool near(const dtask::picture& p, int x, int y, colour want) {
  const std::uint8_t* at = p.row(y) + 3 * x;
  for (std::size_t i = 0; i < 3; ++i)
    if (std::abs(at[i] - want[i]) > 12) return false;
  return true;
}
colour at(const dtask::picture& p, int x, int y) {
  const std::uint8_t* v = p.row(y) + 3 * x;
  return {v[0], v[1], v[2]};
}
std::string reason(const dtask::bytes& file, const dtask::decode_options& options = {}) {
  const auto got = dtask::decode_picture(file.span(), options);
  REQUIRE(!got);
  CHECK(got.error().code() == dtask::errc::bad_data);
  return got.error().what();
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("decode_picture: every EXIF orientation comes out upright") {
  // The corners of the upright picture, clockwise from the top left, for stored corners red green yellow blue.
  const std::map<int, std::array<colour, 4>> want{{1, {red, green, yellow, blue}}, {2, {green, red, blue, yellow}},
                                                  {3, {yellow, blue, red, green}}, {4, {blue, yellow, green, red}},
                                                  {5, {red, blue, yellow, green}}, {6, {blue, red, green, yellow}},
                                                  {7, {yellow, green, red, blue}}, {8, {green, yellow, blue, red}}};
  for (const auto& [orientation, corners] : want) {
    CAPTURE(orientation);
    const auto got =
        dtask::decode_picture(encode_jpeg(quarters(), {.width = 32, .height = 16, .orientation = orientation}).span());
    REQUIRE(got.has_value());
    CHECK(got->width == (orientation >= 5 ? 16 : 32));
    CHECK(got->height == (orientation >= 5 ? 32 : 16));
    const int right = got->width - 3, low = got->height - 3;
    CHECK(near(*got, 2, 2, corners[0]));
    CHECK(near(*got, right, 2, corners[1]));
    CHECK(near(*got, right, low, corners[2]));
    CHECK(near(*got, 2, low, corners[3]));
  }
}

TEST_CASE("decode_picture: an orientation counts in whichever whole format it was written") {
  for (const bool big_endian : {false, true}) {
    for (const int format : {1, 3, 4, 6, 8, 9}) {
      CAPTURE(big_endian);
      CAPTURE(format);
      const auto got = dtask::decode_picture(
          encode_jpeg(
              quarters(),
              {.width = 32, .height = 16, .orientation = 6, .exif_format = format, .exif_big_endian = big_endian})
              .span());
      REQUIRE(got.has_value());
      CHECK(got->width == 16);
      CHECK(near(*got, 2, 2, blue));
    }
  }
}

TEST_CASE("decode_picture: an orientation that makes no sense is ignored") {
  struct nonsense {
    int orientation, format;
  };
  // 0x10006 would be 6 where only half of a LONG is read; 2 is ASCII, 5 a RATIONAL, 99 nothing.
  for (const nonsense& n :
       {nonsense{9, 3}, {-1, 3}, {-1, 9}, {-6, 8}, {-6, 6}, {0x10006, 4}, {0x10006, 9}, {6, 2}, {6, 5}, {6, 99}}) {
    CAPTURE(n.orientation);
    CAPTURE(n.format);
    const auto got = dtask::decode_picture(
        encode_jpeg(quarters(), {.width = 32, .height = 16, .orientation = n.orientation, .exif_format = n.format})
            .span());
    REQUIRE(got.has_value());
    CHECK(got->width == 32);
    CHECK(near(*got, 2, 2, red));
  }
}

TEST_CASE("decode_picture: grey and progressive JPEG") {
  const auto grey = dtask::decode_picture(encode_jpeg(pixels(16 * 16, 100), {.components = 1}).span());
  REQUIRE(grey.has_value());
  CHECK(near(*grey, 8, 8, {100, 100, 100}));
  const auto progressive =
      dtask::decode_picture(encode_jpeg(quarters(), {.width = 32, .height = 16, .progressive = true}).span());
  REQUIRE(progressive.has_value());
  CHECK(near(*progressive, 30, 14, yellow));
}

TEST_CASE("decode_picture: CMYK gets a reason") {
  CHECK(contains(reason(encode_jpeg(pixels(16 * 16 * 4, 7), {.components = 4})), "CMYK"));
}

TEST_CASE("decode_picture: the pixel limit is checked against the header") {
  const dtask::bytes jpeg = encode_jpeg(quarters(), {.width = 32, .height = 16});
  CHECK(dtask::decode_picture(jpeg.span(), {.max_pixels = 32 * 16}).has_value());
  CHECK(contains(reason(jpeg, {.max_pixels = 32 * 16 - 1}), "32 x 16 pixels is over the limit of 511"));
  const dtask::bytes png = encode_png(pixels(4 * 4 * 3, 1), {});
  CHECK(dtask::decode_picture(png.span(), {.max_pixels = 16}).has_value());
  CHECK(contains(reason(png, {.max_pixels = 15}), "over the limit"));
}

TEST_CASE("decode_picture: a header of 65500 x 65500 pixels allocates nothing for them") {
  std::string file(encode_jpeg(quarters(), {.width = 32, .height = 16}).view());
  const std::size_t frame = file.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  file.replace(frame + 5, 4, "\xff\xdc\xff\xdc");
  CHECK(contains(reason(dtask::bytes::copy(file)), "65500 x 65500 pixels is over the limit"));
}

TEST_CASE("decode_picture: a progressive JPEG with scans without end") {
  const dtask::bytes file = encode_jpeg(quarters(), {.width = 32, .height = 16, .repeatable_scans = true});
  const std::string text(file.view());
  const std::size_t scan = text.rfind("\xff\xda"), end = text.rfind("\xff\xd9");
  REQUIRE(scan != std::string::npos);
  // The last of four scans, again and again.
  const auto repeated = [&](int times) {
    std::string many = text.substr(0, end);
    for (int i = 0; i < times; ++i) many += text.substr(scan, end - scan);
    return dtask::bytes::copy(many + text.substr(end));
  };
  CHECK(dtask::decode_picture(repeated(60).span()).has_value());
  CHECK(contains(reason(repeated(61)), "more than 64 scans"));
}

TEST_CASE("decode_picture: a JPEG full of application markers costs no more than reading it") {
  const std::string text(encode_jpeg(quarters(), {.width = 32, .height = 16, .orientation = 6}).view());
  // Four million: what took time for each pair of them would not end.
  std::string markers;
  for (int i = 0; i < 4'000'000; ++i) markers.append("\xff\xe1\0\2", 4);
  const auto got = dtask::decode_picture(dtask::bytes::copy(text.substr(0, 2) + markers + text.substr(2)).span());
  REQUIRE(got.has_value());
  CHECK(got->width == 16);  // the EXIF block behind them is found
  // A marker that is cut short, or announces more than there is.
  for (const std::string_view cut :
       {std::string_view("\xff\xe1"), std::string_view("\xff\xe1\0", 3), std::string_view("\xff\xe1\0\1", 4),
        std::string_view("\xff\xe1\xff\xff"
                         "Exif\0\0",
                         10)})
    CHECK(!reason(dtask::bytes::copy(text.substr(0, 2) + std::string(cut))).empty());
}

TEST_CASE("decode_picture: a JFIF header of another version is harmless") {
  std::string text(encode_jpeg(quarters(), {.width = 32, .height = 16}).view());
  const std::size_t version = text.find(std::string_view("JFIF\0", 5)) + 5;
  text[version] = 2;
  CHECK(dtask::decode_picture(dtask::bytes::copy(text).span()).has_value());
}

TEST_CASE("decode_picture: a limit of pixels without bound") {
  const dtask::bytes progressive = encode_jpeg(
      pixels(2400 * 2400 * 3, 50), {.width = 2400, .height = 2400, .progressive = true, .whole_colour = true});
  for (const std::uint64_t most : {std::numeric_limits<std::uint64_t>::max(), std::uint64_t{1} << 61})
    CHECK(dtask::decode_picture(progressive.span(), {.max_pixels = most}).has_value());
}

TEST_CASE("decode_picture: a PNG with an endless side") {
  const dtask::bytes wide = encode_png(pixels(70'000 * 3, 9), {.width = 70'000, .height = 1}),
                     tall = encode_png(pixels(70'000 * 3, 9), {.width = 1, .height = 70'000});
  for (const dtask::bytes& file : {wide, tall}) {
    CHECK(contains(reason(file), "over the limit of 65535 for a side"));
    CHECK(dtask::decode_picture(file.span(), {.max_side = 70'000}).has_value());
  }
}

TEST_CASE("decode_picture: the orientation of a PNG, before its pixels or behind them") {
  const std::string text(encode_png(pixels(4 * 2 * 3, 9), {.width = 4, .height = 2}).view());
  const auto width_with = [&text](std::string_view before, const std::string& exif) {
    std::string with = text;
    with.insert(with.find(before) - 4, dtask_test::png_chunk("eXIf", exif));
    const auto got = dtask::decode_picture(dtask::bytes::copy(with).span());
    REQUIRE(got.has_value());
    return got->width;
  };
  // Some writers put there what stands in a JPEG.
  for (const std::string& prefix : {std::string(), std::string("Exif\0\0", 6)}) {
    CAPTURE(prefix.size());
    for (const std::string_view before : {std::string_view("IDAT"), std::string_view("IEND")}) {
      for (const int format : {3, 4, 8}) {
        CHECK(width_with(before, prefix + dtask_test::exif_block(6, format, false)) == 2);
        CHECK(width_with(before, prefix + dtask_test::exif_block(6, format, true)) == 2);
      }
      CHECK(width_with(before, prefix + dtask_test::exif_block(1)) == 4);
      CHECK(width_with(before, prefix) == 4);
      CHECK(width_with(before, prefix + std::string(100'000, 'x')) == 4);
      CHECK(width_with(before, prefix + dtask_test::exif_block(6).substr(0, 20)) == 4);
    }
  }
  // The first one counts; a damaged one does not.
  std::string twice = text, damaged = text;
  const std::size_t at = text.find("IDAT") - 4;
  twice.insert(at, dtask_test::png_chunk("eXIf", dtask_test::exif_block(6)) +
                       dtask_test::png_chunk("eXIf", dtask_test::exif_block(1)));
  CHECK(dtask::decode_picture(dtask::bytes::copy(twice).span()).value().width == 2);
  std::string chunk = dtask_test::png_chunk("eXIf", dtask_test::exif_block(6));
  chunk.back() = static_cast<char>(chunk.back() + 1);
  damaged.insert(at, chunk);
  CHECK(dtask::decode_picture(dtask::bytes::copy(damaged).span()).value().width == 4);
  // What is damaged behind the pixels does not matter.
  CHECK(dtask::decode_picture(dtask::bytes::copy(text.substr(0, text.find("IEND") - 4) + "junk").span()).has_value());
}

TEST_CASE("decode_picture: an eXIf chunk that is longer than the file ends it") {
  const std::string text(encode_png(pixels(4 * 2 * 3, 9), {.width = 4, .height = 2}).view());
  const std::string lying(
      "\x7f\xff\xff\xff"
      "eXIfMM",
      10);
  std::string before = text, behind = text;
  before.replace(before.find("IDAT") - 4, std::string::npos, lying);
  behind.replace(behind.find("IEND") - 4, std::string::npos, lying);
  CHECK(contains(reason(dtask::bytes::copy(before)), "the file ends early"));
  CHECK(dtask::decode_picture(dtask::bytes::copy(behind).span()).has_value());
}

TEST_CASE("decode_picture: a large JPEG is decoded smaller when the target is known") {
  const pixels flat(static_cast<std::size_t>(640 * 480 * 3), 90);
  const dtask::bytes file = encode_jpeg(flat, {.width = 640, .height = 480});
  const auto small = dtask::decode_picture(file.span(), {.target_width = 50, .target_height = 50});
  REQUIRE(small.has_value());
  CHECK(small->width == 160);
  CHECK(small->height == 120);
  CHECK(near(*small, 80, 60, {90, 90, 90}));
  const auto half = dtask::decode_picture(file.span(), {.target_width = 100, .target_height = 100});
  REQUIRE(half.has_value());
  CHECK(half->width == 320);
  const auto whole = dtask::decode_picture(file.span(), {.target_width = 224, .target_height = 224});
  REQUIRE(whole.has_value());
  CHECK(whole->width == 640);
}

TEST_CASE("decode_picture: PNG in every layout becomes RGB") {
  const auto grey = dtask::decode_picture(encode_png(pixels(16, 200), {.color = PNG_COLOR_TYPE_GRAY}).span());
  REQUIRE(grey.has_value());
  CHECK(at(*grey, 3, 3) == colour{200, 200, 200});
  // Two pixels of one bit each: black, white.
  const auto bits = dtask::decode_picture(
      encode_png({0x40}, {.width = 2, .height = 1, .depth = 1, .color = PNG_COLOR_TYPE_GRAY}).span());
  REQUIRE(bits.has_value());
  CHECK(at(*bits, 0, 0) == colour{0, 0, 0});
  CHECK(at(*bits, 1, 0) == colour{255, 255, 255});
  const auto wide =
      dtask::decode_picture(encode_png({0xff, 0xff, 0x80, 0x80, 0, 0}, {.width = 1, .height = 1, .depth = 16}).span());
  REQUIRE(wide.has_value());
  CHECK(at(*wide, 0, 0) == colour{255, 128, 0});
  const auto palette =
      dtask::decode_picture(encode_png({0, 1, 2}, {.width = 3, .height = 1, .color = PNG_COLOR_TYPE_PALETTE},
                                       {{9, 8, 7}, {6, 5, 4}, {0, 0, 0}}, {255, 255, 0})
                                .span());
  REQUIRE(palette.has_value());
  CHECK(at(*palette, 0, 0) == colour{9, 8, 7});
  CHECK(at(*palette, 1, 0) == colour{6, 5, 4});
  CHECK(at(*palette, 2, 0) == colour{255, 255, 255});
  pixels ramp;
  for (int i = 0; i < 9 * 7 * 3; ++i) ramp.push_back(static_cast<std::uint8_t>(i));
  const auto interlaced = dtask::decode_picture(encode_png(ramp, {.width = 9, .height = 7, .interlaced = true}).span());
  REQUIRE(interlaced.has_value());
  CHECK(interlaced->rgb == ramp);
}

TEST_CASE("decode_picture: transparent pixels stand on white") {
  const auto got = dtask::decode_picture(encode_png({10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128},
                                                    {.width = 3, .height = 1, .color = PNG_COLOR_TYPE_RGBA})
                                             .span());
  REQUIRE(got.has_value());
  CHECK(at(*got, 0, 0) == colour{10, 20, 30});
  CHECK(at(*got, 1, 0) == colour{255, 255, 255});
  CHECK(at(*got, 2, 0) == colour{127, 127, 127});
  const auto grey = dtask::decode_picture(
      encode_png({50, 255, 50, 0}, {.width = 2, .height = 1, .color = PNG_COLOR_TYPE_GRAY_ALPHA}).span());
  REQUIRE(grey.has_value());
  CHECK(at(*grey, 0, 0) == colour{50, 50, 50});
  CHECK(at(*grey, 1, 0) == colour{255, 255, 255});
}

TEST_CASE("decode_picture: what is no JPEG or PNG gets a reason") {
  CHECK(contains(reason({}), "empty file"));
  CHECK(contains(reason(dtask::bytes::copy(std::string_view("GIF89a"))), "GIF"));
  CHECK(contains(reason(dtask::bytes::copy(std::string_view("\x1f\x8b\x08"))), "gzip"));
  CHECK(contains(reason(dtask::bytes::copy(std::string_view("hello"))), "neither a JPEG nor a PNG"));
  CHECK(contains(reason(dtask::bytes::copy(std::string_view("RIFF\4\0\0\0WEBP", 12))), "WebP"));
  // Too short to be asked what it holds.
  for (const std::string_view cut : {"R", "RIFF", "RIFF\4\1\1"})
    CHECK(contains(reason(dtask::bytes::copy(cut)), "neither a JPEG nor a PNG"));
}

TEST_CASE("decode_picture: every cut of a file is refused or whole, never made up") {
  for (const dtask::bytes& file : {encode_jpeg(quarters(), {.width = 32, .height = 16}),
                                   encode_jpeg(quarters(), {.width = 32, .height = 16, .progressive = true}),
                                   encode_png(quarters(), {.width = 32, .height = 16})}) {
    const auto whole = dtask::decode_picture(file.span());
    REQUIRE(whole.has_value());
    for (std::size_t n = 0; n < file.size(); ++n) {
      CAPTURE(n);
      const auto got = dtask::decode_picture(file.slice(0, n).span());
      if (got) CHECK(got->rgb == whole->rgb);
    }
  }
}

TEST_CASE("decode_picture: damaged bytes never crash it") {
  const unsigned seed = 20240607;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (const dtask::bytes& file : {encode_jpeg(quarters(), {.width = 32, .height = 16, .orientation = 6}),
                                   encode_jpeg(quarters(), {.width = 32, .height = 16, .progressive = true}),
                                   encode_png(quarters(), {.width = 32, .height = 16, .interlaced = true}),
                                   encode_png({0, 1, 2}, {.width = 3, .height = 1, .color = PNG_COLOR_TYPE_PALETTE},
                                              {{9, 8, 7}, {6, 5, 4}, {0, 0, 0}})}) {
    for (int round = 0; round < 400; ++round) {
      std::string damaged(file.view());
      for (unsigned flips = 1 + random() % 4; flips > 0; --flips)
        damaged[random() % damaged.size()] = static_cast<char>(random());
      const auto got = dtask::decode_picture(std::as_bytes(std::span(damaged)), {.max_pixels = 1 << 20});
      if (got) CHECK(got->rgb.size() == got->row_bytes() * static_cast<std::size_t>(got->height));
    }
  }
}

TEST_CASE("decode_picture: an answer or a reason for every odd picture") {
  const auto data = dtask_test::data();
  if (!data) return;
  // Where the outcome differs from the column `pillow` on purpose.
  const std::map<std::string, bool> differs{
      {"jpeg-colour_ostrich_cmyk.jpg", false}, {"jpeg-colour_pil_sample_cmyk.jpg", false},
      {"other-format_hopper.bmp", false},      {"other-format_hopper.gif", false},
      {"png-bad_xcsn0g01.png", false},         {"png-bad_png_decompression_dos.png", true}};
  std::ifstream table(*data / "odd-images" / "odd-images.tsv");
  std::string line;
  std::getline(table, line);
  int files = 0;
  while (std::getline(table, line)) {
    std::istringstream row(line);
    std::string name, category, what, native, pillow;
    for (std::string* column : {&name, &category, &what, &native, &pillow}) std::getline(row, *column, '\t');
    CAPTURE(name);
    ++files;
    const auto got = dtask::decode_picture(dtask::read_file((*data / "odd-images" / name).string()).span());
    const auto exception = differs.find(name);
    const bool want = exception != differs.end() ? exception->second : pillow.starts_with("ok");
    CHECK(got.has_value() == want);
    if (!got) CHECK(std::string(got.error().what()).size() > 10);
    if (got && pillow.starts_with("ok ")) {
      const std::string size = std::to_string(got->width) + "x" + std::to_string(got->height);
      CHECK(pillow.substr(3, size.size()) == size);
    }
  }
  CHECK(files >= 60);
}

#if !DTASK_ASAN && !DTASK_TSAN  // whose own memory is many times that of the pictures
namespace {
/// Peak memory in bytes of a process that decodes this file and ends.
std::int64_t peak_memory(const dtask::bytes& file, std::uint64_t max_pixels) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!file.empty()) (void)dtask::decode_picture(file.span(), {.max_pixels = max_pixels});
    ::_exit(0);
  }
  int status = -1;
  rusage used{};
  REQUIRE(::wait4(child, &status, 0, &used) == child);
  CHECK(status == 0);
  return std::int64_t{used.ru_maxrss} * 1024;
}
}  // namespace

TEST_CASE("decode_picture: memory is bounded by the pixel limit, whatever the file says") {
  std::vector<std::pair<std::string, dtask::bytes>> files;
  // Headers that announce 65,500 x 65,500 pixels with next to nothing behind them.
  std::string jpeg(encode_jpeg(quarters(), {.width = 32, .height = 16, .progressive = true}).view());
  const std::size_t frame = jpeg.find("\xff\xc2");
  REQUIRE(frame != std::string::npos);
  jpeg.replace(frame + 5, 4, "\xff\xdc\xff\xdc");
  files.emplace_back("jpeg that announces 65500 x 65500", dtask::bytes::copy(jpeg));
  std::string png(encode_png(quarters(), {.width = 32, .height = 16, .interlaced = true}).view());
  png.replace(16, 8, std::string_view("\0\0\xff\xdc\0\0\xff\xdc", 8));
  const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(png.data()) + 12, 17);
  for (std::size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<char>(crc >> (24 - 8 * i));
  files.emplace_back("png that announces 65500 x 65500", dtask::bytes::copy(png));
  if (const auto data = dtask_test::data())
    for (const auto& entry : std::filesystem::directory_iterator(*data / "odd-images"))
      files.emplace_back(entry.path().filename().string(), dtask::read_file(entry.path().string()));

  // The costliest: coefficients of 6 bytes a pixel, a picture of 3, then a turned copy of 3 more.
  files.emplace_back(
      "progressive, turned",
      encode_jpeg(pixels(4096 * 4096 * 3, 50),
                  {.width = 4096, .height = 4096, .progressive = true, .orientation = 6, .whole_colour = true}));
  files.emplace_back("as wide as allowed",
                     encode_png(pixels(65'535UL * 256 * 8, 50),
                                {.width = 65'535, .height = 256, .depth = 16, .color = PNG_COLOR_TYPE_RGBA}));

  constexpr std::uint64_t max_pixels = 1 << 24;
  constexpr std::int64_t allowed = 9 * std::int64_t{max_pixels} + (32 << 20);  // as decode_options says
  const std::int64_t idle = peak_memory({}, max_pixels);
  for (const auto& [name, file] : files) {
    CAPTURE(name);
    CHECK(peak_memory(file, max_pixels) - idle <= allowed);
  }
}
#endif

TEST_CASE("decode_picture: a large photo decoded smaller gives the same shrunk picture, up to a few levels") {
  const auto data = dtask_test::data();
  if (!data) return;
  const dtask::bytes file = dtask::read_file((*data / "photos" / "large" / "cat_1080p.jpg").string());
  const auto whole = dtask::decode_picture(file.span()),
             half = dtask::decode_picture(file.span(), {.target_width = 224, .target_height = 224});
  REQUIRE(whole.has_value());
  REQUIRE(half.has_value());
  CHECK(whole->width == 1920);
  CHECK(half->width == 960);
  const dtask::picture a = dtask::resize_bilinear(*whole, 224, 224), b = dtask::resize_bilinear(*half, 224, 224);
  int largest = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  CHECK(largest <= 4);
}
