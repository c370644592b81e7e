// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// The element types that tensors may have on the wire and in files. The codes travel: they are never renumbered.
struct tensor_dtype {
  std::uint8_t code;
  at::ScalarType type;
  std::string_view safetensors;
};
inline constexpr std::array<tensor_dtype, 10> tensor_dtypes{{
    {1, at::kBool, "BOOL"},
    {2, at::kByte, "U8"},
    {3, at::kChar, "I8"},
    {4, at::kShort, "I16"},
    {5, at::kInt, "I32"},
    {6, at::kLong, "I64"},
    {7, at::kHalf, "F16"},
    {8, at::kBFloat16, "BF16"},
    {9, at::kFloat, "F32"},
    {10, at::kDouble, "F64"},
}};

inline const tensor_dtype* find_dtype(at::ScalarType type) noexcept {
  for (const tensor_dtype& d : tensor_dtypes)
    if (d.type == type) return &d;
  return nullptr;
}
inline const tensor_dtype* find_dtype(std::uint8_t code) noexcept {
  for (const tensor_dtype& d : tensor_dtypes)
    if (d.code == code) return &d;
  return nullptr;
}
inline const tensor_dtype* find_dtype(std::string_view safetensors) noexcept {
  for (const tensor_dtype& d : tensor_dtypes)
    if (d.safetensors == safetensors) return &d;
  return nullptr;
}

}  // namespace detail
DTASK_END
