// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/flat_model.hpp"

#include <ATen/Functions.h>
#include <doctest/doctest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <memory>
#include <string>
#include <vector>

#include "one_thread.hpp"

namespace {

namespace nn = torch::nn;

struct small_net : nn::Module {
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d norm{nullptr};
  nn::Linear out{nullptr}, unused{nullptr};
  small_net() {
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(2, 5, 3)));
    norm = register_module("norm", nn::BatchNorm2d(5));
    out = register_module("out", nn::Linear(5, 3));
    unused = register_module("unused", nn::Linear(2, 2));
  }
  at::Tensor forward(const at::Tensor& x) {
    return out->forward(at::relu(norm->forward(conv->forward(x))).mean({2, 3}));
  }
};
at::Tensor loss_of(small_net& net, const at::Tensor& x) {
  return at::cross_entropy_loss(net.forward(x), at::arange(x.size(0), at::kLong).remainder(3));
}
std::shared_ptr<small_net> made(std::uint64_t seed) {
  at::manual_seed(seed);
  return std::make_shared<small_net>();
}
at::Tensor pictures() {
  at::manual_seed(9);
  return at::rand({6, 2, 8, 8});
}

}  // namespace

TEST_CASE("flat model: parameters keep their values, and are views of one segment") {
  const auto plain = made(1), net = made(1);
  const dtask::flat_model model(net);
  REQUIRE(model.parameters().segments.size() == 1);
  CHECK(model.size() == 5 * 2 * 9 + 5 + 5 + 5 + 15 + 3 + 4 + 2);
  const auto before = plain->parameters(), after = net->parameters();
  const at::Tensor& segment = model.parameters().segments[0];
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(at::equal(before[i], after[i]));
    CHECK(after[i].requires_grad());
    CHECK(after[i].is_leaf());
    CHECK(after[i].storage().data() == segment.storage().data());
  }
  CHECK(net->conv->weight.is_contiguous(at::MemoryFormat::ChannelsLast));
  const at::Tensor x = pictures();
  CHECK(at::allclose(loss_of(*plain, x), loss_of(*net, x)));
}

TEST_CASE("flat model: without channels-last weights stay row-major") {
  const auto net = made(1);
  const dtask::flat_model model(net, {.channels_last = false});
  CHECK(net->conv->weight.is_contiguous());
  CHECK(!model.layout().entries[0].channels_last);
}

TEST_CASE("flat model: gradients stay in their segment over steps, unused parameters have zeros") {
  const auto plain = made(1), net = made(1);
  dtask::flat_model model(net);
  torch::optim::SGD one(plain->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9)),
      two(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  const at::Tensor x = pictures();
  const void* const at = model.gradients()[0].const_data_ptr();
  for (int step = 0; step < 3; ++step) {
    one.zero_grad();
    loss_of(*plain, x).backward();
    one.step();
    model.clear_gradients();
    loss_of(*net, x).backward();
    CHECK(net->conv->weight.grad().storage().data() == at);
    CHECK(model.gradients()[0].const_data_ptr() == at);
    two.step();
  }
  CHECK(at::equal(net->unused->weight.grad(), at::zeros({2, 2})));
  const auto a = plain->parameters(), b = net->parameters();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(at::allclose(a[i], b[i], 1e-4, 1e-6));
  model.clear_gradients();
  CHECK(model.gradients()[0].abs().sum().item<double>() == 0);
}

TEST_CASE("flat model: without clearing, gradients add up") {
  const auto net = made(1);
  dtask::flat_model model(net);
  const at::Tensor x = pictures();
  loss_of(*net, x).backward();
  const at::Tensor once = model.gradients()[0].clone();
  loss_of(*net, x).backward();
  CHECK(at::allclose(model.gradients()[0], 2 * once, 1e-4, 1e-6));
}

TEST_CASE("flat model: a gradient that something replaced is brought back") {
  const auto net = made(1);
  dtask::flat_model model(net);
  const at::Tensor x = pictures();
  loss_of(*net, x).backward();
  const at::Tensor right = model.gradients()[0].clone();
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1));
  CHECK_NOTHROW(optimizer.zero_grad());  // drops them
  CHECK(!net->conv->weight.grad().defined());
  loss_of(*net, x).backward();
  CHECK(at::allclose(model.gradients()[0], right, 1e-4, 1e-6));
  CHECK(net->conv->weight.grad().storage().data() == model.gradients()[0].storage().data());
  optimizer.zero_grad();
  CHECK(model.gradients()[0].abs().sum().item<double>() == 0);
  optimizer.zero_grad();
  model.clear_gradients();
  CHECK(net->out->weight.grad().defined());
  optimizer.zero_grad();
  model.set_gradients({right});
  CHECK(at::equal(model.gradients()[0], right));
  CHECK(net->out->weight.grad().abs().sum().item<double>() > 0);
  CHECK_THROWS_AS(model.set_gradients({right.narrow(0, 0, 3)}), dtask::error);
  CHECK_THROWS_AS(model.set_gradients({}), dtask::error);
}

TEST_CASE("flat model: dropped gradients are made anew, those that the backward pass did not reach are zeros") {
  const auto plain = made(1), net = made(1);
  dtask::flat_model model(net);
  const auto options = torch::optim::SGDOptions(0.1).momentum(0.9).weight_decay(0.1);
  torch::optim::SGD one(plain->parameters(), options), two(net->parameters(), options);
  const at::Tensor x = pictures();
  for (int step = 0; step < 3; ++step) {
    for (at::Tensor& p : plain->parameters()) p.mutable_grad() = at::zeros_like(p);
    loss_of(*plain, x).backward();
    one.step();
    model.drop_gradients();
    CHECK(!net->conv->weight.grad().defined());
    loss_of(*net, x).backward();
    CHECK(!net->unused->weight.grad().defined());
    model.complete_gradients();
    CHECK(at::equal(net->unused->weight.grad(), at::zeros({2, 2})));
    two.step();
  }
  const auto a = plain->parameters(), b = net->parameters();
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(at::allclose(a[i], b[i], 1e-4, 1e-6));
}

TEST_CASE("flat model: gradients that are taken are the caller's, whatever lay in their memory before") {
  const auto net = made(1);
  net->out->weight.requires_grad_(false);
  dtask::flat_model model(net);
  const at::Tensor x = pictures();
  loss_of(*net, x).backward();
  const at::Tensor right = model.gradients()[0].clone();
  for (int step = 0; step < 3; ++step) {
    // What the next segment may lie in: nothing of it may be seen.
    {
      const at::Tensor dirt = at::full({right.numel()}, 7.0F);
    }
    model.drop_gradients();
    loss_of(*net, x).backward();
    const std::vector<at::Tensor> taken = model.take_gradients();
    CHECK(at::equal(taken.at(0), right));
    CHECK(!net->conv->weight.grad().defined());
    CHECK(taken[0].storage().data() != model.gradients()[0].storage().data());
    CHECK(model.gradients()[0].abs().sum().item<double>() == 0);
  }
  const void* const memory = right.const_data_ptr();
  model.set_gradients({right});
  CHECK(model.gradients()[0].const_data_ptr() == memory);
  CHECK(net->conv->weight.grad().storage().data() == memory);
}

TEST_CASE("flat model: one segment per element type; frozen and whole-number parameters travel") {
  struct mixed : nn::Module {
    at::Tensor w, d, n, f;
    mixed() {
      w = register_parameter("w", at::ones({3}));
      d = register_parameter("d", at::ones({2}, at::kDouble));
      n = register_parameter("n", at::arange(4, at::kLong), false);
      f = register_parameter("f", at::full({2}, 3.0F), false);
    }
  };
  const auto net = std::make_shared<mixed>();
  dtask::flat_model model(net);
  CHECK(model.parameters().segments.size() == 3);
  ((net->w.sum() + net->f.sum()) * net->d.sum()).backward();
  const auto g = dtask::views_of({{{model.layout().entries[0]}}, {model.gradients()[1].narrow(0, 0, 3)}});
  CHECK(at::equal(g[0], at::full({3}, 2.0F)));
  CHECK(model.gradients()[0].numel() == 0);
  CHECK(at::equal(model.gradients()[2], at::full({2}, 9.0, at::kDouble)));
  CHECK(!net->f.grad().defined());
  dtask::training_state s;
  model.save(s);
  const auto other = std::make_shared<mixed>();
  dtask::flat_model second(other);
  {
    const at::NoGradGuard guard;
    other->n.zero_();
    other->f.zero_();
  }
  second.load(s);
  CHECK(at::equal(other->n, at::arange(4, at::kLong)));
  CHECK(at::equal(other->f, net->f));
}

TEST_CASE("flat model: tied weights are counted once and stay tied") {
  struct tied : nn::Module {
    nn::Linear a{nullptr}, b{nullptr};
    at::Tensor third;
    tied() {
      a = register_module("a", nn::Linear(nn::LinearOptions(3, 3).bias(false)));
      b = register_module("b", a);
      third = register_parameter("third", a->weight);
    }
  };
  const auto net = std::make_shared<tied>();
  const dtask::flat_model model(net);
  REQUIRE(model.layout().entries.size() == 1);
  {
    const at::NoGradGuard guard;
    model.parameters().segments[0].fill_(2);
  }
  CHECK(net->a->weight.sum().item<float>() == 18);
  CHECK(net->third.sum().item<float>() == 18);
}

TEST_CASE("flat model: what cannot be trained is refused, by name") {
  CHECK_THROWS_WITH_AS(dtask::flat_model(nullptr), doctest::Contains("no module"), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::flat_model(std::make_shared<nn::Module>("hollow")),
                       doctest::Contains("nothing to train (hollow)"), dtask::error);
  struct one : nn::Module {
    explicit one(at::Tensor t, bool gradient = false) { register_parameter("odd", std::move(t), gradient); }
  };
  CHECK_THROWS_WITH_AS(
      dtask::flat_model(std::make_shared<one>(at::empty({2}, at::TensorOptions(at::kFloat).device(at::kMeta)))),
      doctest::Contains("odd is on meta"), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::flat_model(std::make_shared<one>(at::zeros({2}, at::kComplexFloat))),
                       doctest::Contains("ComplexFloat"), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::flat_model(std::make_shared<one>(at::eye(2).to_sparse())), doctest::Contains("not dense"),
                       dtask::error);
  struct torn : nn::Module {
    torn() {
      const at::Tensor both = at::ones({4});
      register_parameter("left", both.narrow(0, 0, 3));
      register_parameter("right", both.narrow(0, 2, 2));
    }
  };
  CHECK_THROWS_WITH_AS(dtask::flat_model(std::make_shared<torn>()), doctest::Contains("left and right"), dtask::error);
}

TEST_CASE("flat model: a state carries parameters and buffers over") {
  const auto from = made(1), to = made(2);
  dtask::flat_model a(from), b(to);
  loss_of(*from, pictures()).backward();  // moves the running means
  dtask::training_state s;
  s.counters.round = 5;
  a.save(s);
  CHECK(s.counters.round == 5);
  CHECK(s.buffers.layout.entries.size() == 3);
  b.load(s);
  const auto ps = from->parameters(), qs = to->parameters(), bs = from->buffers(), cs = to->buffers();
  for (std::size_t i = 0; i < ps.size(); ++i) CHECK(at::equal(ps[i], qs[i]));
  for (std::size_t i = 0; i < bs.size(); ++i) CHECK(at::equal(bs[i], cs[i]));
  CHECK(to->norm->num_batches_tracked.item<std::int64_t>() == 1);
  // It is a copy: what is trained on does not reach it.
  const at::Tensor kept = s.parameters.segments[0].clone();
  {
    const at::NoGradGuard guard;
    a.parameters().segments[0].zero_();
  }
  CHECK(at::equal(kept, s.parameters.segments[0]));
}

TEST_CASE("flat model: a state of another model or LibTorch is refused and changes nothing") {
  const auto net = made(1);
  dtask::flat_model model(net);
  dtask::training_state right;
  model.save(right);
  const at::Tensor before = model.parameters().segments[0].clone();
  auto wrong = right;
  wrong.parameters.segments[0] = at::zeros_like(before);
  wrong.libtorch = "2.10.0";
  CHECK_THROWS_WITH_AS(model.load(wrong), doctest::Contains("LibTorch 2.10.0"), dtask::error);
  wrong.libtorch = right.libtorch;
  wrong.parameters.layout.entries[2].name = "norm.gain";
  CHECK_THROWS_WITH_AS(model.load(wrong), doctest::Contains("norm.weight in the model and norm.gain"), dtask::error);
  wrong.parameters.layout = right.parameters.layout;
  wrong.buffers.layout.entries.pop_back();
  CHECK_THROWS_WITH_AS(model.load(wrong), doctest::Contains("num_batches_tracked is missing"), dtask::error);
  wrong.buffers.layout = right.buffers.layout;
  wrong.parameters.segments[0] = at::zeros({3});
  CHECK_THROWS_AS(model.load(wrong), dtask::error);
  wrong.parameters.segments[0] = at::zeros_like(before);
  wrong.buffers.segments.clear();
  CHECK_THROWS_AS(model.load(wrong), dtask::error);
  CHECK(at::equal(model.parameters().segments[0], before));
}
