// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>

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
/// A type as it is written in C++.
inline std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                    &std::free);
  return status == 0 ? readable_name(text.get()) : std::string(type.name());
}

DTASK_END
