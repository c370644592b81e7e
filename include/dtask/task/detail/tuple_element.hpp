// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <type_traits>
#include <variant>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// What stands for a task's or an operation's result in a tuple or a variant: `std::monostate` for void.
template <class T>
using tuple_element = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

}  // namespace detail
DTASK_END
