// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

namespace recognise {

/// A small network for grey pictures of 28 x 28 pixels: two 3x3 convolutions with max pooling, two linear layers;
/// 105,866 parameters.
class fashion_cnn : public torch::nn::Module {
 public:
  fashion_cnn();
  /// Pictures n x 1 x 28 x 28, normalised, to logits n x 10.
  at::Tensor forward(at::Tensor x);

 private:
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr};
  torch::nn::Linear fc1_{nullptr}, fc2_{nullptr};
};

/// Mean and standard deviation of the training pictures, on 0..1.
inline constexpr float fashion_mean = 0.2860F, fashion_std = 0.3530F;

}  // namespace recognise
