// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/data/safetensors.hpp"
#include "dtask/torch/detail/dtype.hpp"
#include "dtask/torch/detail/shape.hpp"
#include "dtask/torch/tensor_bytes.hpp"

DTASK_BEGIN

/// An array of a safetensors file as a tensor over the file's memory, for reading (see `tensor_over`). Throws
/// `error(errc::bad_data)` for an element type that LibTorch's CPU kernels do not handle, or a shape whose strides do
/// not fit into 64 bits.
inline at::Tensor to_tensor(const safetensor& from) {
  const detail::tensor_dtype* type = detail::find_dtype(std::string_view(from.dtype));
  if (type == nullptr)
    throw error(errc::bad_data, "safetensors: the dtype " + from.dtype + " of " + from.name + " is not handled", {},
                "store it as F32, F16 or BF16");
  if (!detail::shape_fits(from.shape, c10::elementSize(type->type)))
    throw error(errc::bad_data, "safetensors: the shape of " + from.name + " is too large for a tensor", {},
                "check the file");
  return tensor_over(from.data, from.shape, type->type);
}

/// A tensor as an array for `write_safetensors`, row-major. Shares the tensor's memory where it is contiguous on the
/// CPU: it must not be written to meanwhile. Throws `error(errc::invalid_argument)` for element types that the format
/// does not know.
inline safetensor to_safetensor(std::string name, const at::Tensor& tensor) {
  const detail::tensor_dtype* type = detail::find_dtype(tensor.scalar_type());
  if (type == nullptr)
    throw error(errc::invalid_argument, "safetensors: the element type of " + name + " is not handled");
  const at::Tensor plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous();
  return {std::move(name), std::string(type->safetensors), plain.sizes().vec(), tensor_bytes(plain)};
}

DTASK_END
