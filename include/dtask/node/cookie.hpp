// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// The environment variable by which a child of spawn:// learns the secret that its coordinator asks for: an argument
/// could be read by every user of the host.
inline constexpr const char* cookie_variable = "DTASK_COOKIE";

/// The cookie that the environment brings, taken out of it; 0: none.
inline std::uint64_t take_cookie() {
  const char* text = std::getenv(cookie_variable);
  if (text == nullptr) return 0;
  std::uint64_t cookie = 0;
  std::from_chars(text, text + std::strlen(text), cookie);
  ::unsetenv(cookie_variable);
  return cookie;
}

DTASK_END
