// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// A string literal as a template argument, for the name of a job: `dtask::job<"classify/1">`.
template <std::size_t N>
struct fixed_string {
  char text[N] = {};  ///< the characters with the zero at their end
  /// From a literal.
  consteval fixed_string(const char (&literal)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
  /// The string without the zero; in a template argument it lives as long as the program.
  constexpr std::string_view view() const noexcept { return {text, N - 1}; }
  /// The same.
  constexpr operator std::string_view() const noexcept { return view(); }
};

/// Whether `name` is a job name: 1 to 120 of [A-Za-z0-9_.-/], ending in `/` and a version number, as in `classify/1`.
constexpr bool valid_job_name(std::string_view name) noexcept {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == name.size() || name.size() > 120) return false;
  for (const char c : name.substr(slash + 1))
    if (c < '0' || c > '9') return false;
  for (const char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '_' && c != '.' && c != '-' && c != '/') return false;
  }
  return true;
}

DTASK_END
