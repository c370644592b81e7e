// SPDX-License-Identifier: BSL-1.0
#include "fashion_cnn.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <torch/csrc/autograd/grad_mode.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/sgd.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <mutex>
#include <numbers>

#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"
#include "dtask/data/safetensors.hpp"
#include "dtask/torch/safetensors_tensor.hpp"
#include "model.hpp"

namespace recognise {

fashion_cnn::fashion_cnn() {
  conv1_ = register_module("conv1", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 16, 3).padding(1)));
  conv2_ = register_module("conv2", torch::nn::Conv2d(torch::nn::Conv2dOptions(16, 32, 3).padding(1)));
  fc1_ = register_module("fc1", torch::nn::Linear(32 * 7 * 7, 64));
  fc2_ = register_module("fc2", torch::nn::Linear(64, 10));
}

at::Tensor fashion_cnn::forward(at::Tensor x) {
  x = at::relu(at::max_pool2d(conv1_->forward(x), 2));
  x = at::relu(at::max_pool2d(conv2_->forward(x), 2));
  // From channels-last to the order in which PyTorch flattens, so that the weights mean the same everywhere.
  x = at::relu(fc1_->forward(x.contiguous().flatten(1)));
  return fc2_->forward(x);
}

trained train_fashion(std::span<const std::uint8_t> pixels, std::span<const std::uint8_t> labels, int passes,
                      std::uint64_t seed, bool (*stop_asked)(void*), void* user) {
  constexpr std::int64_t side = 28, batch = 128;
  const auto count = static_cast<std::int64_t>(labels.size());
  if (labels.empty() || pixels.size() != labels.size() * side * side || passes < 1)
    throw dtask::error(dtask::errc::invalid_argument,
                       "training takes 784 bytes per label, at least one label and one pass");
  const auto begin = std::chrono::steady_clock::now();
  {
    // Not at::manual_seed: it asks for devices too, before a slot beside this one has looked for its own.
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    const std::lock_guard hold(generator.mutex());
    generator.set_current_seed(seed);
  }
  fashion_cnn network;
  // Channels-last weights and pictures; `contiguous` would do nothing on one channel, hence the copies into memory made
  // with the format.
  for (at::Tensor& p : network.parameters())
    if (p.dim() == 4)
      p.set_data(at::empty(p.sizes(), p.options().requires_grad(false).memory_format(at::MemoryFormat::ChannelsLast))
                     .copy_(p.detach()));
  const at::Tensor levels = at::from_blob(const_cast<std::uint8_t*>(pixels.data()), {count, side * side}, at::kByte);
  const at::Tensor classes = at::from_blob(const_cast<std::uint8_t*>(labels.data()), {count}, at::kByte).to(at::kLong);
  if (classes.min().item<std::int64_t>() < 0 || classes.max().item<std::int64_t>() > 9)
    throw dtask::error(dtask::errc::invalid_argument, "labels count from 0 to 9");

  constexpr double peak = 0.12;
  torch::optim::SGD optimiser(network.parameters(),
                              torch::optim::SGDOptions(peak).momentum(0.9).nesterov(true).weight_decay(5e-4));
  const std::int64_t steps_a_pass = (count + batch - 1) / batch, steps = steps_a_pass * passes;
  std::int64_t step = 0;
  double loss_sum = 0;
  for (int pass = 0; pass < passes; ++pass) {
    loss_sum = 0;
    const at::Tensor order = at::randperm(count, at::kLong);
    for (std::int64_t at = 0; at < count; at += batch, ++step) {
      if (stop_asked != nullptr && stop_asked(user)) throw dtask::error(dtask::errc::cancelled, "training was stopped");
      // One cycle: up for a fifth of the steps, then down to nothing.
      const double done = static_cast<double>(step) / static_cast<double>(steps), up = 0.2;
      const double rate =
          done < up ? 0.1 + 0.9 * done / up : 0.5 * (1 + std::cos(std::numbers::pi * (done - up) / (1 - up)));
      static_cast<torch::optim::SGDOptions&>(optimiser.param_groups()[0].options()).lr(peak * rate);

      const at::Tensor chosen = order.narrow(0, at, std::min(batch, count - at));
      at::Tensor x = at::empty({chosen.size(0), 1, side, side},
                               at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
      x.view({chosen.size(0), side * side})
          .copy_(levels.index_select(0, chosen))
          .sub_(255 * fashion_mean)
          .div_(255 * fashion_std);
      const at::Tensor loss = at::cross_entropy_loss(network.forward(x), classes.index_select(0, chosen));
      optimiser.zero_grad();
      loss.backward();
      optimiser.step();
      loss_sum += loss.item<double>();
    }
  }

  dtask::safetensors file;
  const auto text = [](float v) {
    const std::string s = dtask::number_text(static_cast<double>(v), 6);
    return s.substr(0, s.find_last_not_of('0') + 1);
  };
  file.metadata = {{"format", "pt"},
                   {"architecture", "fashion_cnn"},
                   {"input_size", "28"},
                   {"mean", text(fashion_mean)},
                   {"std", text(fashion_std)}};
  for (const auto& item : network.named_parameters())
    file.tensors.push_back(dtask::to_safetensor(item.key(), item.value()));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return {dtask::write_safetensors(file), loss_sum / static_cast<double>(steps_a_pass), took.count()};
}

}  // namespace recognise
