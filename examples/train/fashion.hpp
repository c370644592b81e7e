// SPDX-License-Identifier: BSL-1.0
#pragma once
// What is trained: Fashion-MNIST's pictures of clothes, with a small convolutional network or a perceptron.
#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cstdint>
#include <dtask/torch/trainer.hpp>
#include <dtask/torch/training.hpp>
#include <memory>
#include <string>

#include "fashion_cnn.hpp"
#if defined(TRAIN_WITH_CUDA)
#include <dtask/cuda/worker_device.hpp>
#endif

namespace train {

#if defined(TRAIN_WITH_CUDA)
using device = dtask::cuda::worker_device;  ///< what each worker was started for
#else
using device = dtask::cpu_device;
#endif

/// Two hidden layers; 235,146 parameters.
class perceptron : public torch::nn::Module {
 public:
  perceptron();
  at::Tensor forward(at::Tensor x);

 private:
  torch::nn::Linear fc1_{nullptr}, fc2_{nullptr}, fc3_{nullptr};
};

/// The pictures of a folder, or those that the client has published in shards.
dtask::task<dtask::idx_dataset> load_pictures(std::string folder, std::int32_t shards, dtask::split which,
                                              dtask::job_context* ctx);
/// Publishes the files of a folder as shards of at most 8 MB, under the names that `load_pictures` fetches; gives
/// their number.
dtask::task<std::int32_t> send_pictures(dtask::cluster* c, std::string folder);
/// Mean loss of the network's answers; counts the right ones.
at::Tensor loss_of(const at::Tensor& answers, const dtask::batch& b, dtask::tally& t);
/// The pictures in the memory format that convolutions like.
at::Tensor channels_last(const at::Tensor& pictures);

template <class Network>
struct fashion {
  std::string folder;
  std::int32_t shards = 0;  ///< that were published; 0: the worker has the files
  std::int32_t batch = 64;  ///< of one rank
  double lr = 0.05;

  auto model() const { return std::make_shared<Network>(); }
  auto optimizer(dtask::parameters p) const {
    return std::make_unique<torch::optim::SGD>(
        p, torch::optim::SGDOptions(lr).momentum(0.9).nesterov(true).weight_decay(5e-4));
  }
  dtask::task<dtask::idx_dataset> data(dtask::split which, dtask::job_context& ctx) const {
    return load_pictures(folder, shards, which, &ctx);
  }
  at::Tensor loss(Network& m, const dtask::batch& b, dtask::tally& t) const {
    return loss_of(m.forward(channels_last(b.inputs)), b, t);
  }
};

using train_cnn = dtask::training<"fashion-cnn/1", fashion<recognise::fashion_cnn>, device>;
using train_mlp = dtask::training<"fashion-mlp/1", fashion<perceptron>, device>;
using jobs = dtask::registry<train_cnn, train_mlp>;

}  // namespace train
