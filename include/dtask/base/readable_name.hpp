// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// A name as the compiler writes it, without this library's inline namespace and ABI tag: `dtask::error`.
inline std::string readable_name(std::string_view name) {
  constexpr std::string_view inner = DTASK_ABI_TAG "::", tag = "[abi:" DTASK_ABI_TAG "]";
  std::string out;
  out.reserve(name.size());
  while (!name.empty()) {
    if (name.starts_with(tag)) {
      name.remove_prefix(tag.size());
    } else if (name.starts_with(inner) && out.ends_with("dtask::")) {
      name.remove_prefix(inner.size());
    } else {
      out.push_back(name.front());
      name.remove_prefix(1);
    }
  }
  return out;
}

DTASK_END
