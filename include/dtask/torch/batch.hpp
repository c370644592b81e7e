// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/picture_batch.hpp"
#include "dtask/torch/tensor_bytes.hpp"

DTASK_BEGIN

/// What a network is trained on at a time: samples along the first dimension, and what it should answer to each.
struct batch {
  at::Tensor inputs;                   ///< [size, ...]
  at::Tensor targets;                  ///< [size, ...]
  std::vector<std::uint64_t> samples;  ///< which of the dataset they are, in order

  std::int64_t size() const { return inputs.defined() ? inputs.size(0) : 0; }  ///< number of samples
  /// The memory that it keeps, for bounds in bytes.
  std::uint64_t size_bytes() const {
    const auto of = [](const at::Tensor& t) { return t.defined() ? std::uint64_t{t.nbytes()} : 0; };
    return sizeof(*this) + samples.size() * sizeof(samples[0]) + of(inputs) + of(targets);
  }
};

/// Any dataset's batch as tensors: for what takes batches of any `data_loader`. A dataset of your own has an overload
/// for its batches, found by its argument's namespace.
inline batch to_batch(batch from) noexcept { return from; }

/// Pictures and labels as tensors over the memory that they were loaded into, nothing copied: float32 [size, channels,
/// height, width] and int64 [size]. Given away, the memory is the tensors' own, to be written to as well.
inline batch to_batch(picture_batch from) {
  batch out;
  const std::array<std::int64_t, 4> shape{from.size(), from.channels, from.height, from.width};
  out.inputs = tensor_over(from.inputs, shape, at::kFloat);
  out.targets = tensor_over(from.targets, {from.size()}, at::kLong);
  out.samples = std::move(from.samples);
  return out;
}

DTASK_END
