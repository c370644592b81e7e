// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <string>
#include <vector>

namespace recognise {

/// A convolution, its batch norm and, but for the last of a block, a ReLU6.
struct conv_layer {
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};
  bool relu6 = true;
  bool pad_after = false;  ///< TensorFlow's "same" padding at stride 2: nothing before, one row and column after

  at::Tensor forward(at::Tensor x);
};

/// The layers of one entry of `features`; a residual block adds its input at the end.
struct conv_block {
  std::vector<conv_layer> layers;
  bool residual = false;
};

/// MobileNet V2 at width 1.0 (Sandler et al., arXiv:1801.04381) with torchvision's parameter names, so that its exports
/// load unchanged.
class mobilenet_v2 : public torch::nn::Module {
 public:
  mobilenet_v2(int classes, bool same_padding);
  /// Pictures n x 3 x height x width, normalised, to logits n x classes. Plain float32 operators: the reference for the
  /// folded form.
  at::Tensor forward(at::Tensor x);

  const std::vector<conv_block>& blocks() const noexcept { return blocks_; }
  const torch::nn::Linear& classifier() const noexcept { return classifier_; }

 private:
  conv_layer add_layer(torch::nn::Module& parent, int index, int in, int out, int kernel, int stride, int groups,
                       bool relu6, bool same_padding);

  std::vector<conv_block> blocks_;
  torch::nn::Linear classifier_{nullptr};
};

}  // namespace recognise
