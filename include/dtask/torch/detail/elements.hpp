// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// Calls `f` with a value of the C++ type of a floating element type; of another one, not at all.
template <class F>
void with_floating(at::ScalarType type, F f) {
  switch (type) {
    case at::kFloat:
      return f(float());
    case at::kDouble:
      return f(double());
    case at::kHalf:
      return f(at::Half());
    case at::kBFloat16:
      return f(at::BFloat16());
    default:
      return;
  }
}

/// To the element type T; to half precision by way of float, which is how LibTorch converts too.
template <class T>
T rounded(double value) noexcept {
  if constexpr (sizeof(T) == sizeof(double))
    return value;
  else
    return T(static_cast<float>(value));
}

}  // namespace detail
DTASK_END
