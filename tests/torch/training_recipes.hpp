// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Recipes for tests: small networks on numbers that are made up.
#include <ATen/Functions.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dtask/data/bad_sample.hpp"
#include "dtask/runtime/offload.hpp"
#include "dtask/torch/tensor_dataset.hpp"
#include "dtask/torch/trainer.hpp"
#include "dtask/torch/training.hpp"

namespace test {

struct two_layers : torch::nn::Module {
  two_layers(bool doubles, bool norm, bool drop) {
    first = register_module("first", torch::nn::Linear(6, 16));
    if (norm) bn = register_module("bn", torch::nn::BatchNorm1d(16));
    if (drop) dropout = register_module("dropout", torch::nn::Dropout(0.5));
    second = register_module("second", torch::nn::Linear(16, 3));
    if (doubles) to(at::kDouble);
  }
  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = first(x);
    if (bn) y = bn(y);
    y = at::relu(y);
    if (dropout) y = dropout(y);
    return second(y);
  }
  torch::nn::Linear first{nullptr}, second{nullptr};
  torch::nn::BatchNorm1d bn{nullptr};
  torch::nn::Dropout dropout{nullptr};
};

/// Points in six dimensions, and which of three directions they lie in most.
inline dtask::tensor_dataset points(dtask::split which, std::int64_t count, bool doubles) {
  const at::Tensor steps = at::arange(count * 6, at::kDouble) + (which == dtask::split::train ? 0.25 : 1000.25);
  const at::Tensor x = at::sin(steps * 1.7).reshape({count, 6}) + at::cos(steps * 0.31).reshape({count, 6});
  const at::Tensor y =
      at::stack({x.select(1, 0) + x.select(1, 1), x.select(1, 2) + x.select(1, 3), x.select(1, 4) + x.select(1, 5)}, 1)
          .argmax(1);
  return {doubles ? x : x.to(at::kFloat), y};
}

/// Where a part waits in its `hold_at`th loss of this process, until the test lets it go.
struct gate {
  std::atomic<int> losses{0};
  std::promise<void> entered, go_on;
  static gate*& current() {
    static gate* now = nullptr;
    return now;
  }
};

/// Counts the datasets that are alive.
struct counted {
  counted() { ++alive(); }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --alive(); }
  static std::atomic<int>& alive() {
    static std::atomic<int> now{0};
    return now;
  }
};

struct recipe {
  std::int32_t batch = 8;
  double lr = 0.1;
  double momentum = 0.9;
  std::int64_t count = 200;
  bool doubles = false;
  bool norm = false;
  bool drop = false;
  bool adam = false;
  bool explodes = false;
  bool is_counted = false;
  bool holes = false;      ///< every 40th sample, from the 7th on, cannot be used
  bool misshapen = false;  ///< LibTorch refuses the inputs
  bool steep = false;      ///< the loss is finite, its gradient is not
  std::int32_t hold_at = 0;
  bool meet = false;  ///< the first loss waits for the second, which is of another part

  auto model() const { return std::make_shared<two_layers>(doubles, norm, drop); }
  std::unique_ptr<torch::optim::Optimizer> optimizer(dtask::parameters p) const {
    if (adam) return std::make_unique<torch::optim::Adam>(p, torch::optim::AdamOptions(lr / 10));
    return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(lr).momentum(momentum));
  }
  dtask::tensor_dataset data(dtask::split which) const {
    dtask::tensor_dataset made = points(which, which == dtask::split::train ? count : 90, doubles);
    if (is_counted) made.then([token = std::make_shared<counted>()](dtask::batch&, dtask::sample_keys) {});
    if (holes)
      made.then([](dtask::batch& b, dtask::sample_keys) {
        for (const std::uint64_t s : b.samples)
          if (s % 40 == 7) throw dtask::bad_sample(s, "a hole");
      });
    return made;
  }
  at::Tensor loss(two_layers& m, const dtask::batch& b, dtask::tally& t) const {
    if (hold_at != 0 && ++gate::current()->losses == hold_at) {
      gate::current()->entered.set_value();
      gate::current()->go_on.get_future().wait();
    }
    if (meet) {
      const int number = ++gate::current()->losses;
      if (number == 1) gate::current()->go_on.get_future().wait();
      if (number == 2) gate::current()->go_on.set_value();
    }
    const at::Tensor out = m.forward(misshapen ? b.inputs.narrow(1, 0, 3) : b.inputs);
    t.add("right", out.argmax(1).eq(b.targets).sum());
    at::Tensor l = at::cross_entropy_loss(out, b.targets);
    if (steep) l = l + at::sqrt((m.first->weight - m.first->weight.detach()).abs().sum());
    return explodes ? l / 0.0 : l;
  }
};
using train = dtask::training<"points/1", recipe>;

/// The CPU as if it were a device: what is computed is read at the end alone, and every way there and back takes
/// another thread.
class far_device {
 public:
  explicit far_device(dtask::job_context&) {}
  c10::Device device() const { return c10::Device(c10::DeviceType::CPU); }
  std::string name() const { return "far"; }
  bool is_later() const { return true; }
  struct entered {
    ~entered() {}
  };
  entered enter() const { return {}; }
  template <class Batch>
  dtask::task<dtask::batch> start(Batch from) {
    return carried(dtask::to_batch(std::move(from)));
  }
  dtask::batch hand_over(dtask::batch there) const { return there; }
  dtask::task<> pace() { return hop(); }
  dtask::task<> copy_in(std::vector<dtask::flat_model::tensor_copy> pairs) { return copied_in(std::move(pairs)); }
  dtask::task<std::vector<at::Tensor>> copy_out(std::vector<at::Tensor> from) { return copied_out(std::move(from)); }

 private:
  static void nothing() {}
  static dtask::task<> hop() { co_await dtask::offload(nothing); }
  static dtask::task<dtask::batch> carried(dtask::batch b) {
    co_await hop();
    b.inputs = b.inputs.clone();
    b.targets = b.targets.clone();
    co_return b;
  }
  static dtask::task<> copied_in(std::vector<dtask::flat_model::tensor_copy> pairs) {
    co_await hop();
    const at::NoGradGuard no_gradients;
    for (const auto& each : pairs) each.to.copy_(each.from);
  }
  static dtask::task<std::vector<at::Tensor>> copied_out(std::vector<at::Tensor> from) {
    co_await hop();
    for (at::Tensor& t : from) t = t.detach().clone();
    co_return from;
  }
};
using train_far = dtask::training<"points-far/1", recipe, far_device>;
using jobs = dtask::registry<train, train_far>;

/// The bytes of a model.
inline std::string bytes_of(const torch::nn::Module& m) {
  std::string out;
  const auto add = [&out](const at::Tensor& t) {
    const at::Tensor plain = t.detach().contiguous();
    out.append(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
  };
  for (const auto& p : m.named_parameters()) add(p.value());
  for (const auto& b : m.named_buffers()) add(b.value());
  return out;
}

}  // namespace test
