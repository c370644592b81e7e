// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <vector>

#include "dtask/base/bytes.hpp"

DTASK_BEGIN

/// One encoded value as it travels: what the archive wrote, and the big blocks that it left out of band, in the order
/// in which the value names them.
struct payload {
  bytes body;                ///< the archive's bytes
  std::vector<bytes> blobs;  ///< the out-of-band blocks; the body refers to them by position

  /// Bytes on the wire without framing.
  std::size_t size() const noexcept {
    std::size_t total = body.size();
    for (const bytes& b : blobs) total += b.size();
    return total;
  }
};

DTASK_END
