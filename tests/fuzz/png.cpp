// SPDX-License-Identifier: BSL-1.0
#include <zlib.h>

#include <vector>

#include "fuzz/picture.hpp"

namespace {

std::uint32_t big_endian(const std::byte* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(at[i]);
  return value;
}

// libpng refuses a chunk with a wrong checksum before anything else looks at it.
void mend_checksums(std::vector<std::byte>& file) {
  constexpr std::size_t signature = 8, around = 12;
  for (std::size_t at = signature; file.size() - at >= around;) {
    const std::size_t size = big_endian(&file[at]);
    if (size > file.size() - at - around) return;
    const auto sum = ::crc32(0, reinterpret_cast<const Bytef*>(&file[at + 4]), static_cast<uInt>(size + 4));
    for (std::size_t i = 0; i < 4; ++i) file[at + 8 + size + i] = static_cast<std::byte>(sum >> (24 - 8 * i));
    at += size + around;
  }
}

}  // namespace

// A PNG and its eXIf block, its chunks with the right checksums.
bool fuzz::png(input in) {
  std::vector<std::byte> file(in.begin(), in.end());
  if (file.size() > 8) mend_checksums(file);
  return decode_bounded(file, 0);
}
