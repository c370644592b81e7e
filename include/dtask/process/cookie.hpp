// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN

/// The environment variable that carries the secret that a coordinator asks its peers for, a decimal number: to the
/// children of spawn://, and to coordinators, workers, clients and ranks that a user starts. An argument could be read
/// by every user of the host.
inline constexpr const char* cookie_variable = "DTASK_COOKIE";

/// The cookie that stands in a text; nothing for what is no number from 1 to 2^64 - 1.
inline std::optional<std::uint64_t> read_cookie(std::string_view text) noexcept {
  const auto cookie = read_number<std::uint64_t>(text);
  return cookie && *cookie != 0 ? cookie : std::nullopt;
}

/// The cookie that the environment brings, taken out of it; 0: none. Throws `error(invalid_argument)` for one that
/// cannot be read: with none, a coordinator would let everybody in. Not thread-safe: it changes the environment.
inline std::uint64_t take_cookie() {
  const char* const text = std::getenv(cookie_variable);
  if (text == nullptr) return 0;
  const auto cookie = read_cookie(text);
  ::unsetenv(cookie_variable);
  if (!cookie)
    throw error(errc::invalid_argument, std::string(cookie_variable) + " is no number from 1 to 18446744073709551615",
                cookie_variable, "set it to a random number, the same for all that belong together, or unset it");
  return *cookie;
}

DTASK_END
