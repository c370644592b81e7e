// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "dtask/base/config.hpp"

DTASK_BEGIN

// Numbers as text: the same whatever std::locale::global and setlocale were told, which printf's %f, std::stod and
// streams are not. Thread-safe.

/// The number that is the whole of `text`, in decimal; nothing where it is none or does not fit into T. "inf" and "nan"
/// are none, nor is what begins with a space or a plus.
template <class T>
  requires std::integral<T> || std::floating_point<T>
std::optional<T> read_number(std::string_view text) noexcept {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stopped, bad] = std::from_chars(text.data(), end, value);
  if (bad != std::errc() || stopped != end) return std::nullopt;
  if constexpr (std::floating_point<T>)
    if (!std::isfinite(value)) return std::nullopt;
  return value;
}

/// With `digits` of 0 to 17 behind a point: "2.50".
inline std::string number_text(double value, int digits) {
  char text[400];  // 309 before the point
  const auto [end, bad] =
      std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, std::clamp(digits, 0, 17));
  return bad == std::errc() ? std::string(text, end) : std::string();
}
/// The shortest text that reads as the same number: "2.5".
inline std::string number_text(double value) {
  char text[40];
  const auto [end, bad] = std::to_chars(text, text + sizeof text, value);
  return bad == std::errc() ? std::string(text, end) : std::string();
}

DTASK_END
