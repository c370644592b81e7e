// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <new>
#include <span>
#include <string>
#include <string_view>

#include "dtask/base/error.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/decode_options.hpp"
#include "dtask/data/detail/jpeg.hpp"
#include "dtask/data/detail/png.hpp"
#include "dtask/data/picture.hpp"

DTASK_BEGIN

namespace detail {
/// The name of a format that is recognised but not handled; empty for anything else.
inline std::string_view other_format(std::string_view head) noexcept {
  if (head.starts_with("GIF8")) return "a GIF picture";
  if (head.starts_with("BM")) return "a BMP picture";
  if (head.starts_with(std::string_view("II*\0", 4)) || head.starts_with(std::string_view("MM\0*", 4)))
    return "a TIFF picture";
  if (head.size() >= 12 && head.starts_with("RIFF") && head.substr(8).starts_with("WEBP")) return "a WebP picture";
  if (head.starts_with("\x1f\x8b")) return "gzip data";
  if (head.size() >= 12 && head.substr(4).starts_with("ftyp")) return "a HEIF, AVIF or video file";
  return {};
}
}  // namespace detail

/// Decodes a JPEG (libjpeg-turbo) or PNG (libpng) to 8-bit RGB, upright as its EXIF orientation says.
///
/// `input`: the whole file; the format is taken from its first bytes, not from its name. Grey and palette pictures
/// become RGB, 16 bits become 8, transparent pixels stand on white. Colour profiles and gamma are not applied. With a
/// target size in `options` a large JPEG comes out smaller than stored (see there).
///
/// Result: the picture, or `errc::bad_data` with the reason: not a JPEG or PNG, over the limits of pixels (checked
/// before anything is allocated for pixels), CMYK, damaged or cut short (pixels are never made up). Never throws for
/// bad input, memory included. Blocks the calling thread for about 0.5 ms per 0.1 megapixels of JPEG. Thread-safe.
inline result<picture> decode_picture(std::span<const std::byte> input, const decode_options& options = {}) {
  const std::string_view head(reinterpret_cast<const char*>(input.data()), input.size() < 16 ? input.size() : 16);
  try {
    if (head.starts_with("\xff\xd8")) return detail::jpeg_reader(input, options).decode();
    if (head.starts_with("\x89PNG\r\n\x1a\n")) return detail::png_reader(input, options).decode();
  } catch (const std::bad_alloc&) {
    return error(errc::bad_data, "no memory for the picture", {}, "lower max_pixels");
  }
  if (head.empty()) return error(errc::bad_data, "empty file", {}, "JPEG and PNG are handled");
  const std::string_view other = detail::other_format(head);
  if (!other.empty()) return error(errc::bad_data, std::string(other), {}, "JPEG and PNG are handled");
  return error(errc::bad_data, "neither a JPEG nor a PNG", {}, "JPEG and PNG are handled");
}

DTASK_END
