// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"
#include "dtask/job/codec.hpp"
#include "dtask/torch/detail/dtype.hpp"
#include "dtask/torch/detail/shape.hpp"
#include "dtask/torch/tensor_bytes.hpp"

DTASK_BEGIN

/// How a tensor travels as a job's argument or result: element type, shape, memory format, and its bytes, out of band
/// above 16 KiB.
///
/// Sent: dense tensors of the usual types (bool, 8 to 64 bit integers, f16, bf16, f32, f64) with up to 32 dimensions;
/// tensors of other devices and strided views are copied first, gradients stay behind. Sending reads the tensor's own
/// memory: it must not be written to until the call has ended. Received: a tensor over the memory in which the bytes
/// arrived (see `tensor_over`: for reading), on the CPU. An undefined tensor stays undefined. Nothing is unpickled.
/// Errors: `encode_failed` and `decode_failed` with the reason.
template <>
struct codec<at::Tensor> {
  static constexpr std::string_view words = "tensor";  ///< its shape, as `describe` says it
  static constexpr std::uint8_t max_rank = 32;         ///< the most dimensions that travel

  /// Writes a tensor. Throws `error(encode_failed)` for one that does not travel.
  static void save(encoder& to, const at::Tensor& tensor) {
    if (!tensor.defined()) return to.put(std::uint8_t{0});
    const detail::tensor_dtype* type = detail::find_dtype(tensor.scalar_type());
    if (type == nullptr || tensor.is_meta() || tensor.layout() != at::kStrided || tensor.is_quantized() ||
        tensor.dim() > max_rank)
      throw error(errc::encode_failed,
                  "a tensor that is not dense, of another element type or of more than 32 dimensions does not travel",
                  {}, "convert it first");
    at::Tensor plain = tensor.detach();
    if (!plain.device().is_cpu()) plain = plain.cpu();
    plain = plain.resolve_conj().resolve_neg();
    const bool channels_last =
        plain.dim() == 4 && plain.is_contiguous(at::MemoryFormat::ChannelsLast) && !plain.is_contiguous();
    if (!channels_last) plain = plain.contiguous();
    to.put(type->code);
    to.put(static_cast<std::uint8_t>(channels_last ? 1 : 0));
    to.put(static_cast<std::uint8_t>(plain.dim()));
    for (const std::int64_t n : plain.sizes()) to.put(n);
    const bytes data = tensor_bytes(plain);
    // Small ones are copied out of the frame on arrival.
    if (data.size() <= inline_bytes) to.charge(data.size());
    to.block(data);
  }

  /// Reads a tensor. Throws `error(decode_failed)` for what `save` does not write.
  static void load(decoder& from, at::Tensor& tensor) {
    const auto code = from.get<std::uint8_t>();
    if (code == 0) {
      tensor = at::Tensor();
      return;
    }
    const detail::tensor_dtype* type = detail::find_dtype(code);
    if (type == nullptr) from.fail("a tensor of an unknown element type");
    const bool channels_last = from.get<bool>();
    const auto rank = from.get<std::uint8_t>();
    if (rank > max_rank || (channels_last && rank != 4)) from.fail("a tensor of an impossible shape");
    std::vector<std::int64_t> shape(rank);
    for (std::int64_t& n : shape) n = from.get<std::int64_t>();
    if (!detail::shape_fits(shape, c10::elementSize(type->type))) from.fail("a tensor of an impossible shape");
    std::uint64_t size = c10::elementSize(type->type);
    for (const std::int64_t n : shape) size *= static_cast<std::uint64_t>(n);
    const bytes data = from.block();
    if (data.size() != size) from.fail("a tensor whose bytes do not fill its shape");
    std::vector<std::int64_t> strides;
    if (channels_last) strides = {shape[1] * shape[2] * shape[3], 1, shape[3] * shape[1], shape[1]};
    if (size <= inline_bytes) {
      from.charge(size);
      tensor = tensor_over(bytes::copy(data.span()), shape, type->type, strides);
    } else {
      tensor = tensor_over(data, shape, type->type, strides);
    }
  }
};

DTASK_END
