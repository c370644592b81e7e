// SPDX-License-Identifier: BSL-1.0
#include "fuzz/picture.hpp"

// A JPEG and its EXIF block. The first byte is the size to which it will be shrunk.
bool fuzz::jpeg(input in) {
  cursor from(in);
  const int target = from.take<std::uint8_t>();
  return decode_bounded(from.rest(), target);
}
