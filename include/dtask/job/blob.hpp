// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"

DTASK_BEGIN

/// A value that a client has broadcast or published under a name, as a worker gives it to a job. The bytes are shared
/// and never change; they stay for as long as somebody has them, whatever the client does with the name.
struct blob {
  bytes value;                ///< what the client gave
  std::uint64_t version = 0;  ///< grows with each new value of the name in one client session

  /// The bytes as text, valid while somebody has them.
  std::string_view view() const noexcept { return value.view(); }
  /// The bytes as a span, valid while somebody has them.
  std::span<const std::byte> span() const noexcept { return value.span(); }
  /// For those who do not ask which version it is.
  operator bytes() const& { return value; }
  /// The same, moved out.
  operator bytes() && { return static_cast<bytes&&>(value); }
};

DTASK_END
