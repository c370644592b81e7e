// SPDX-License-Identifier: BSL-1.0
#include "mobilenet_v2.hpp"

#include <ATen/Functions.h>

#include <memory>
#include <utility>

namespace recognise {

namespace {
/// A place in the tree of names.
struct place : torch::nn::Module {};
}  // namespace

at::Tensor conv_layer::forward(at::Tensor x) {
  if (pad_after) x = at::constant_pad_nd(x, {0, 1, 0, 1});
  x = norm->forward(conv->forward(x));
  return relu6 ? x.clamp_(0, 6) : x;
}

conv_layer mobilenet_v2::add_layer(torch::nn::Module& parent, int index, int in, int out, int kernel, int stride,
                                   int groups, bool relu6, bool same_padding) {
  conv_layer layer;
  layer.relu6 = relu6;
  layer.pad_after = same_padding && stride == 2;
  const int padding = layer.pad_after ? 0 : (kernel - 1) / 2;
  layer.conv = parent.register_module(
      std::to_string(index),
      torch::nn::Conv2d(
          torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(padding).groups(groups).bias(false)));
  layer.norm = parent.register_module(std::to_string(index + 1), torch::nn::BatchNorm2d(out));
  return layer;
}

mobilenet_v2::mobilenet_v2(int classes, bool same_padding) {
  const auto features = register_module("features", std::make_shared<place>());
  const auto plain = [&](int in, int out, int kernel, int stride) {
    const auto at = features->register_module(std::to_string(blocks_.size()), std::make_shared<place>());
    blocks_.push_back({{add_layer(*at, 0, in, out, kernel, stride, 1, true, same_padding)}, false});
  };
  plain(3, 32, 3, 2);
  struct stage {
    int expand, out, count, stride;
  };
  int in = 32;
  for (const auto [expand, out, count, first_stride] :
       {stage{1, 16, 1, 1}, stage{6, 24, 2, 2}, stage{6, 32, 3, 2}, stage{6, 64, 4, 2}, stage{6, 96, 3, 1},
        stage{6, 160, 3, 2}, stage{6, 320, 1, 1}}) {
    for (int i = 0; i < count; ++i) {
      const int stride = i == 0 ? first_stride : 1, hidden = in * expand;
      const auto block = features->register_module(std::to_string(blocks_.size()), std::make_shared<place>());
      const auto conv = block->register_module("conv", std::make_shared<place>());
      conv_block made{{}, stride == 1 && in == out};
      int index = 0;
      const auto nested = [&] { return conv->register_module(std::to_string(index++), std::make_shared<place>()); };
      if (expand != 1) made.layers.push_back(add_layer(*nested(), 0, in, hidden, 1, 1, 1, true, same_padding));
      made.layers.push_back(add_layer(*nested(), 0, hidden, hidden, 3, stride, hidden, true, same_padding));
      made.layers.push_back(add_layer(*conv, index, hidden, out, 1, 1, 1, false, same_padding));
      blocks_.push_back(std::move(made));
      in = out;
    }
  }
  plain(in, 1280, 1, 1);
  const auto head = register_module("classifier", std::make_shared<place>());
  classifier_ = head->register_module("1", torch::nn::Linear(1280, classes));
}

at::Tensor mobilenet_v2::forward(at::Tensor x) {
  for (conv_block& block : blocks_) {
    const at::Tensor before = x;
    for (conv_layer& layer : block.layers) x = layer.forward(x);
    if (block.residual) x = x.add_(before);
  }
  return classifier_->forward(x.mean({2, 3}));
}

}  // namespace recognise
