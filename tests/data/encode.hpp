// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Small JPEG and PNG files made in memory for the tests.
#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/bytes.hpp"

namespace dtask_test {

using pixels = std::vector<std::uint8_t>;

/// An EXIF block of one tag, Orientation (0x0112), without "Exif\0\0" before it. `format`: 3 is SHORT, as it should be;
/// 1 BYTE, 4 LONG, 6 SBYTE, 8 SSHORT, 9 SLONG.
inline std::string exif_block(int orientation, int format = 3, bool big_endian = false) {
  std::string out = big_endian ? "MM" : "II";
  const auto number = [&](int value, int bytes) {
    for (int i = 0; i < bytes; ++i)
      out.push_back(static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i) & 0xff));
  };
  const int bytes = format == 1 || format == 6 ? 1 : format == 3 || format == 8 ? 2 : 4;
  number(42, 2);
  number(8, 4);
  number(1, 2);
  number(0x0112, 2);
  number(format, 2);
  number(1, 4);
  number(orientation, bytes);
  out.append(static_cast<std::size_t>(4 - bytes), '\0');
  number(0, 4);
  return out;
}

struct jpeg_shape {
  int width = 16, height = 16, components = 3;
  bool progressive = false;
  int orientation = 0;  ///< 0: no EXIF block
  int exif_format = 3;  ///< of the orientation
  bool exif_big_endian = false;
  bool repeatable_scans = false;  ///< the last scan may be repeated: none refines another
  bool whole_colour = false;      ///< colour at the resolution of the grey levels
};

/// `samples`: components interleaved, rows from the top. Four components are stored as CMYK.
inline dtask::bytes encode_jpeg(pixels samples, jpeg_shape shape) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &out, &size);
  info.image_width = static_cast<JDIMENSION>(shape.width);
  info.image_height = static_cast<JDIMENSION>(shape.height);
  info.input_components = shape.components;
  info.in_color_space = shape.components == 1 ? JCS_GRAYSCALE : shape.components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  if (shape.progressive) jpeg_simple_progression(&info);
  const jpeg_scan_info scans[] = {{3, {0, 1, 2, 0}, 0, 0, 0, 0},
                                  {1, {0, 0, 0, 0}, 1, 63, 0, 0},
                                  {1, {1, 0, 0, 0}, 1, 63, 0, 0},
                                  {1, {2, 0, 0, 0}, 1, 63, 0, 0}};
  if (shape.repeatable_scans) {
    info.scan_info = scans;
    info.num_scans = 4;
  }
  if (shape.whole_colour) info.comp_info[0].h_samp_factor = info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&info, TRUE);
  if (shape.orientation != 0) {
    using namespace std::string_literals;
    const std::string exif = "Exif\0\0"s + exif_block(shape.orientation, shape.exif_format, shape.exif_big_endian);
    jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(exif.data()),
                      static_cast<unsigned>(exif.size()));
  }
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = samples.data() + static_cast<std::size_t>(info.next_scanline) *
                                        static_cast<std::size_t>(shape.width * shape.components);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const dtask::bytes result = dtask::bytes::copy(out, size);
  std::free(out);
  return result;
}

struct png_shape {
  int width = 4, height = 4, depth = 8, color = PNG_COLOR_TYPE_RGB;
  bool interlaced = false;
};

/// A PNG chunk with its length and checksum.
inline std::string png_chunk(std::string_view type, std::string_view data) {
  const auto word = [](unsigned long n) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text.push_back(static_cast<char>(n >> shift));
    return text;
  };
  const std::string checked = std::string(type) + std::string(data);
  return word(data.size()) + checked +
         word(::crc32(0, reinterpret_cast<const Bytef*>(checked.data()), static_cast<uInt>(checked.size())));
}

/// `rows`: the packed samples as PNG stores them. Transparency of a palette is given per entry.
inline dtask::bytes encode_png(const pixels& rows, png_shape shape, std::vector<png_color> palette = {},
                               pixels transparency = {}) {
  pixels out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &out,
      [](png_structp p, png_bytep at, std::size_t n) {
        static_cast<pixels*>(png_get_io_ptr(p))->insert(static_cast<pixels*>(png_get_io_ptr(p))->end(), at, at + n);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(shape.width), static_cast<png_uint_32>(shape.height), shape.depth,
               shape.color, shape.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (!palette.empty()) png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
  if (!transparency.empty())
    png_set_tRNS(png, info, transparency.data(), static_cast<int>(transparency.size()), nullptr);
  png_write_info(png, info);
  const int passes = png_set_interlace_handling(png);
  const std::size_t row_bytes = rows.size() / static_cast<std::size_t>(shape.height);
  for (int pass = 0; pass < passes; ++pass)
    for (std::size_t y = 0; y < static_cast<std::size_t>(shape.height); ++y)
      png_write_row(png, rows.data() + y * row_bytes);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return dtask::bytes::copy(out.data(), out.size());
}

}  // namespace dtask_test
