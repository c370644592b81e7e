// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "mobilenet_v2.hpp"

namespace recognise {

/// MobileNet V2 as it runs fastest: batch norm folded into the convolutions, everything channels-last; on a CPU ReLU6
/// inside them and weights laid out once for oneDNN.
class fused_network {
 public:
  /// Takes over the weights of `from`, which are on the CPU, for pictures of `height` x `width`. `type`: float32 or
  /// bfloat16. `device`: where it computes.
  fused_network(const mobilenet_v2& from, int height, int width, at::ScalarType type, at::Device device = at::kCPU);

  at::ScalarType type() const noexcept { return type_; }
  /// Pictures n x 3 x height x width, normalised, channels-last, of `type()`, to float32 logits n x classes. Inside
  /// inference mode.
  at::Tensor forward(const at::Tensor& x) const;

 private:
  struct layer {
    at::Tensor weight, bias;
    std::int64_t stride, padding, groups;
    bool relu6;
  };
  struct block {
    std::vector<layer> layers;
    bool residual;
  };
  at::Tensor run(const layer& l, const at::Tensor& x) const;
  at::Tensor run(std::size_t first, std::size_t last, at::Tensor x) const;

  at::ScalarType type_;
  bool one_dnn_;
  std::vector<block> blocks_;
  std::size_t wide_ =
      0;  ///< blocks before this one run on a few pictures at a time, so that what they compute stays in the cache
  at::Tensor weight_, bias_;
};

}  // namespace recognise
