// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"

DTASK_BEGIN

/// The elements of a tensor as bytes that keep its storage alive; nothing is copied.
///
/// `tensor`: dense, on the CPU, without gaps in its own memory format, and not a view that negates or conjugates as it
/// is read; anything else throws `error(errc::invalid_argument)`. While the bytes live, the tensor must not be written
/// to.
inline bytes tensor_bytes(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.layout() != at::kStrided || !tensor.device().is_cpu() ||
      !tensor.is_non_overlapping_and_dense() || tensor.is_neg() || tensor.is_conj())
    throw error(errc::invalid_argument,
                "only dense tensors on the CPU have bytes, and no lazily negated or conjugated ones", {},
                "call .cpu().resolve_conj().resolve_neg().contiguous() first");
  auto owner = std::make_shared<const at::Tensor>(tensor);
  const auto* at = static_cast<const std::byte*>(tensor.const_data_ptr());
  return bytes(std::move(owner), at, tensor.nbytes());
}

/// A tensor over bytes, which it keeps alive; copied only where they are not aligned for the element type.
///
/// Since `bytes` are immutable and may be shared (in one process, with the sender), the tensor is for reading:
/// `clone()` it before writing to it in place. Precondition: `data` holds exactly the elements of `shape`. `strides`
/// empty: row-major.
inline at::Tensor tensor_over(const bytes& data, at::IntArrayRef shape, at::ScalarType type,
                              at::IntArrayRef strides = {}) {
  if (data.empty()) return at::empty(shape, type);
  // from_blob takes a writable pointer for any tensor.
  void* at = const_cast<std::byte*>(data.data());
  const auto options = at::TensorOptions(type);
  const auto release = [data](void*) {};
  at::Tensor view = strides.empty() ? at::from_blob(at, shape, release, options)
                                    : at::from_blob(at, shape, strides, release, options);
  const bool aligned = reinterpret_cast<std::uintptr_t>(at) % c10::elementSize(type) == 0;
  if (aligned) return view;
  at::Tensor copy = strides.empty() ? at::empty(shape, options) : at::empty_strided(shape, strides, options);
  std::memcpy(copy.mutable_data_ptr(), data.data(), data.size());
  return copy;
}

DTASK_END
