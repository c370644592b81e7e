// SPDX-License-Identifier: BSL-1.0
#include "pictures.hpp"

#include <stdio.h>
#include <stdlib.h>

// After stdio.h, which it needs and does not include.
#include <jpeglib.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <dtask/base/error.hpp>
#include <filesystem>
#include <system_error>
#include <vector>

namespace pipeline {

namespace {

constexpr int width = 640, height = 480;

/// Waves of colour, which take a decoder as long as a photo does.
std::vector<std::uint8_t> draw(int number) {
  std::vector<std::uint8_t> rgb(static_cast<std::size_t>(width * height * 3));
  std::uint8_t* to = rgb.data();
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      *to++ = static_cast<std::uint8_t>(x * (number % 7 + 1) / 5 + y);
      *to++ = static_cast<std::uint8_t>(x * y / (300 + 10 * number));
      *to++ = static_cast<std::uint8_t>((x ^ y) + 3 * number);
    }
  return rgb;
}

/// False, with `errno`, where the file cannot be written.
bool write_jpeg(const std::string& path, std::vector<std::uint8_t> rgb) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  // Into memory, since writing to a full disk would end the program inside libjpeg.
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = width;
  info.image_height = height;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 90, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = rgb.data() + std::size_t{info.next_scanline} * width * 3;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::FILE* const file = std::fopen(path.c_str(), "wbe");
  const bool written = file != nullptr && std::fwrite(data, 1, size, file) == size;
  const int cause = errno;
  const bool closed = file != nullptr && std::fclose(file) == 0;
  std::free(data);
  if (!written) errno = cause;
  return written && closed;
}

}  // namespace

made_pictures::made_pictures(int count) {
  const auto fail = [](const std::string& at, const char* why) {
    return dtask::error(dtask::errc::io_error, std::string("cannot make pictures: ") + why, at,
                        "make room there, or name a folder of pictures");
  };
  folder_ = (std::filesystem::temp_directory_path() / "dtask-pipeline-XXXXXX").string();
  if (::mkdtemp(folder_.data()) == nullptr) throw fail(folder_, std::strerror(errno));
  for (int i = 0; i < count; ++i) {
    const std::string of_class = folder_ + (i % 2 == 0 ? "/even" : "/odd");
    const std::string path = of_class + "/" + std::to_string(1000 + i) + ".jpg";
    std::error_code failed;
    std::filesystem::create_directory(of_class, failed);
    if (failed || !write_jpeg(path, draw(i))) {
      const dtask::error why = fail(path, failed ? failed.message().c_str() : std::strerror(errno));
      std::filesystem::remove_all(folder_, failed);
      throw why;
    }
  }
}

made_pictures::~made_pictures() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace pipeline
