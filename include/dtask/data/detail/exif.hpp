// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <libexif/exif-data.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "dtask/data/picture.hpp"

DTASK_BEGIN
namespace detail {

/// What stands before the TIFF structure of an EXIF block in a JPEG, and in some PNGs.
inline constexpr std::uint8_t exif_prefix[] = {'E', 'x', 'i', 'f', 0, 0};
inline bool has_exif_prefix(std::span<const std::uint8_t> block) noexcept {
  return block.size() > sizeof exif_prefix && std::equal(std::begin(exif_prefix), std::end(exif_prefix), block.begin());
}

/// The first number of an entry, in whichever whole format it was written; 0 where it is none.
inline std::int64_t exif_whole_number(const ExifEntry& entry, ExifByteOrder order) noexcept {
  if (entry.data == nullptr || entry.components == 0 || entry.size < exif_format_get_size(entry.format)) return 0;
  switch (entry.format) {
    case EXIF_FORMAT_BYTE:
      return entry.data[0];
    case EXIF_FORMAT_SBYTE:
      return static_cast<std::int8_t>(entry.data[0]);
    case EXIF_FORMAT_SHORT:
      return exif_get_short(entry.data, order);
    case EXIF_FORMAT_SSHORT:
      return exif_get_sshort(entry.data, order);
    case EXIF_FORMAT_LONG:
      return exif_get_long(entry.data, order);
    case EXIF_FORMAT_SLONG:
      return exif_get_slong(entry.data, order);
    default:
      return 0;
  }
}

/// The orientation tag (1 to 8) of an EXIF block that starts with "Exif\0\0"; 1 where there is none or it makes no
/// sense. The tag is to be a SHORT, but writers differ.
inline int exif_orientation(std::span<const std::uint8_t> block) {
  struct release {
    void operator()(ExifData* d) const noexcept { exif_data_unref(d); }
  };
  const std::unique_ptr<ExifData, release> data(exif_data_new());
  if (!data) return 1;
  // Only one tag is wanted: no repairs, no default tags.
  exif_data_unset_option(data.get(), EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
  const std::size_t size = std::min<std::size_t>(block.size(), 0xffff);
  exif_data_load_data(data.get(), block.data(), static_cast<unsigned int>(size));
  const ExifEntry* entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (entry == nullptr) return 1;
  const std::int64_t value = exif_whole_number(*entry, exif_data_get_byte_order(data.get()));
  return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
}

/// Turns and mirrors a picture so that it stands as EXIF orientation `value` says it should be seen.
inline picture upright(picture in, int value) {
  if (value <= 1 || value > 8) return in;
  const int w = in.width, h = in.height;
  const bool swapped = value >= 5;
  picture out;
  out.width = swapped ? h : w;
  out.height = swapped ? w : h;
  out.rgb.resize(in.rgb.size());
  for (int y = 0; y < out.height; ++y) {
    std::uint8_t* to = out.row(y);
    for (int x = 0; x < out.width; ++x, to += 3) {
      int sx = swapped ? y : x, sy = swapped ? x : y;
      // 2, 3: the stored picture runs from the right; 3, 4: from the bottom. 6: turned clockwise to be seen; 7:
      // mirrored and turned; 8: counter-clockwise.
      if (value == 2 || value == 3 || value == 7 || value == 8) sx = w - 1 - sx;
      if (value == 3 || value == 4 || value == 6 || value == 7) sy = h - 1 - sy;
      const std::uint8_t* from = in.row(sy) + std::size_t{3} * static_cast<std::size_t>(sx);
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
  return out;
}

}  // namespace detail
DTASK_END
