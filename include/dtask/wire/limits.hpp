// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "dtask/base/config.hpp"
#include "dtask/base/limits.hpp"

DTASK_BEGIN
namespace wire {

/// The version of the wire protocol. It changes when a peer of another version could misread a frame.
inline constexpr std::uint16_t protocol_version = 3;

using dtask::limits;

/// What a peer may send before its hello is accepted: enough for a hello with all its job types, little enough for a
/// thousand strangers.
inline constexpr std::uint32_t max_hello = 256u << 10;

}  // namespace wire
DTASK_END
