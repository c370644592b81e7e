// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// What one side accepts. At least 128 KiB of body, 64 KiB of blocks, one block and one transfer: a peer with less is
/// refused. `hello` and `welcome` exchange them; the smaller value of both sides holds. Every length is checked against
/// them before any allocation.
struct limits {
  std::uint32_t frame_body = 1u << 20;   ///< bytes of a frame's body
  std::uint32_t frame_blobs = 1u << 20;  ///< bytes of a frame's out-of-band blocks together; a larger payload is sent
                                         ///< in chunks of at most this size
  std::uint32_t blobs = 1024;            ///< out-of-band blocks of one payload; more than 1024 do not share a frame
  std::uint64_t payload = std::uint64_t{8} << 30;  ///< bytes of one argument or result
  std::uint32_t transfers = 64;                    ///< announced payloads under way at once on one link and direction
  std::uint32_t jobs = 4096;                       ///< job types in a hello
  friend bool operator==(const limits&, const limits&) = default;  ///< the same in every member
};

DTASK_END
