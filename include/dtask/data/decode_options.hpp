// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// What `decode_picture` accepts and what the caller will do with the answer.
struct decode_options {
  /// Pictures whose header announces more pixels than this are refused before anything is allocated for them.
  /// Peak memory of a decode: at most 9 bytes for each of these pixels plus 32 MiB and the size of the input.
  std::uint64_t max_pixels = std::uint64_t{64} << 20;
  /// A longer side is refused too (PNG; a JPEG has none): decoding takes memory, and shrinking time, in proportion to
  /// it, however few pixels there are.
  std::uint32_t max_side = 65'535;
  /// The size in pixels to which the caller will shrink the picture; 0: unknown. A JPEG at least four times as large on
  /// both sides is then decoded at 1/2, 1/4 or 1/8 of its size (never below twice the target), which costs a fraction
  /// of the time and changes the shrunk picture by about a grey level.
  int target_width = 0;
  int target_height = 0;  ///< the same of the height
};

DTASK_END
