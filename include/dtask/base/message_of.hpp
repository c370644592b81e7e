// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <string>
#include <typeinfo>

#include "dtask/base/config.hpp"
#include "dtask/base/readable_name.hpp"

DTASK_BEGIN

/// What an exception says. Some types have a `what()` that is null: then it is that they say nothing. Whatever is
/// caught by a base class is asked this way; a program of dtask then outlives it.
inline std::string message_of(const std::exception& e) {
  if (const char* text = e.what()) return text;
#ifdef __cpp_rtti
  return "an exception of type " + readable_name(typeid(e)) + ", whose what() is null";
#else
  return "an exception whose what() is null";
#endif
}

DTASK_END
