// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <optional>

#include "dtask/data/decode_picture.hpp"
#include "fuzz/memory.hpp"
#include "fuzz/target.hpp"

namespace fuzz {

/// Decodes a picture that is to be shrunk to `target` pixels (0: not said). It is within the limits and as large as it
/// says, in bounded memory.
inline bool decode_bounded(input file, int target) {
  dtask::decode_options options;
  options.max_pixels = 1u << 14;
  options.max_side = 2048;
  options.target_width = options.target_height = target;
  std::optional<dtask::result<dtask::picture>> read;
  const std::size_t peak = peak_of([&] { read = dtask::decode_picture(file, options); });
  require(peak <= 9 * options.max_pixels + (32u << 20) + file.size(), "decoding takes more than documented");
  if (!*read) {
    require(read->error().code() == dtask::errc::bad_data, "a refusal with another code");
    return false;
  }
  const dtask::picture& p = read->value();
  require(p.width > 0 && p.height > 0, "a picture without a side");
  const auto pixels = static_cast<std::uint64_t>(p.width) * static_cast<std::uint64_t>(p.height);
  require(pixels <= options.max_pixels && p.rgb.size() == 3 * pixels, "a picture of another size than it says");
  return true;
}

}  // namespace fuzz
