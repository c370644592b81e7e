// SPDX-License-Identifier: BSL-1.0
#include "fused_network.hpp"

#include <ATen/Functions.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace recognise {

namespace {

using pointwise = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, at::IntArrayRef,
                             at::IntArrayRef, at::IntArrayRef, std::int64_t, c10::string_view,
                             c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);

/// oneDNN's convolution with the ReLU6 inside it, which has no C++ function of its own; empty in builds of LibTorch
/// without oneDNN.
const std::optional<c10::TypedOperatorHandle<pointwise>>& fused_convolution() {
  static const auto found = [] {
    const auto op = c10::Dispatcher::singleton().findSchema({"mkldnn::_convolution_pointwise", ""});
    return op ? std::optional(op->typed<pointwise>()) : std::nullopt;
  }();
  return found;
}

/// Pictures that run through the wide blocks together: at 112 x 112 pixels and 96 channels one takes 2.4 MB in
/// bfloat16.
constexpr std::int64_t wide_batch = 1;
/// Pictures for which the weights are laid out.
constexpr std::int64_t usual_batch = 8;
/// The blocks up to 56 x 56 pixels are wide.
constexpr std::int64_t wide_from = 56;

}  // namespace

fused_network::fused_network(const mobilenet_v2& from, int height, int width, at::ScalarType type, at::Device device)
    : type_(type), one_dnn_(device.is_cpu() && fused_convolution()) {
  std::int64_t h = height, w = width;
  for (const conv_block& b : from.blocks()) {
    if (h >= wide_from) wide_ = blocks_.size() + 1;
    block made{{}, b.residual};
    for (const conv_layer& l : b.layers) {
      const auto& options = l.conv->options;
      const at::Tensor scale = l.norm->weight / (l.norm->running_var + l.norm->options.eps()).sqrt();
      at::Tensor weight = l.conv->weight * scale.reshape({-1, 1, 1, 1});
      layer fused{{},
                  (l.norm->bias - l.norm->running_mean * scale).to(device, type),
                  options.stride()->at(0),
                  weight.size(2) == 3 ? 1 : 0,
                  options.groups(),
                  l.relu6};
      // A row and column of zeros before a 3x3 kernel makes "one after" of the symmetric padding that oneDNN is asked
      // for: no padded copy of the picture.
      if (l.pad_after) weight = at::constant_pad_nd(weight, {1, 0, 1, 0});
      weight = weight.to(device, type).contiguous(at::MemoryFormat::ChannelsLast);
      if (one_dnn_) {
        const std::int64_t n = wide_ > blocks_.size() ? wide_batch : usual_batch;
        weight = at::mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), fused.padding, fused.stride, 1, fused.groups,
                                                  at::IntArrayRef{n, weight.size(1) * fused.groups, h, w});
      }
      fused.weight = std::move(weight);
      h /= fused.stride;
      w /= fused.stride;
      made.layers.push_back(std::move(fused));
    }
    blocks_.push_back(std::move(made));
  }
  weight_ = from.classifier()->weight.detach().to(device, /*non_blocking=*/false, /*copy=*/true);
  bias_ = from.classifier()->bias.detach().to(device, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor fused_network::run(const layer& l, const at::Tensor& x) const {
  if (!one_dnn_) {
    at::Tensor y = at::conv2d(x, l.weight, l.bias, l.stride, l.padding, 1, l.groups);
    return l.relu6 ? y.clamp_(0, 6) : y;
  }
  c10::List<std::optional<at::Scalar>> bounds;
  if (l.relu6) {
    bounds.push_back(at::Scalar(0.0));
    bounds.push_back(at::Scalar(6.0));
  }
  const std::int64_t padding[] = {l.padding, l.padding}, stride[] = {l.stride, l.stride}, dilation[] = {1, 1};
  return fused_convolution()->call(x, l.weight, l.bias, padding, stride, dilation, l.groups,
                                   l.relu6 ? "hardtanh" : "none", std::move(bounds), "");
}

at::Tensor fused_network::run(std::size_t first, std::size_t last, at::Tensor x) const {
  for (std::size_t i = first; i < last; ++i) {
    const at::Tensor before = x;
    for (const layer& l : blocks_[i].layers) x = run(l, x);
    if (blocks_[i].residual) x = x.add_(before);
  }
  return x;
}

at::Tensor fused_network::forward(const at::Tensor& x) const {
  if (!x.device().is_cpu())
    return at::linear(run(0, blocks_.size(), x).mean({2, 3}, false, at::kFloat), weight_, bias_);
  std::vector<at::Tensor> narrow;
  for (std::int64_t at = 0; at < x.size(0); at += wide_batch)
    narrow.push_back(run(0, wide_, x.narrow(0, at, std::min(wide_batch, x.size(0) - at))));
  const at::Tensor y = run(wide_, blocks_.size(), narrow.size() == 1 ? narrow.front() : at::cat(narrow));
  return at::linear(y.mean({2, 3}, false, at::kFloat), weight_, bias_);
}

}  // namespace recognise
