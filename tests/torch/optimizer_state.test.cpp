// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/optimizer_state.hpp"

#include <ATen/Functions.h>
#include <doctest/doctest.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dtask/job.hpp"
#include "one_thread.hpp"

namespace {

namespace nn = torch::nn;
namespace optim = torch::optim;

struct small_net : nn::Module {
  nn::Conv2d conv{nullptr};
  nn::Linear out{nullptr};
  small_net() {
    at::manual_seed(1);
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(2, 5, 3)));
    out = register_module("out", nn::Linear(5, 3));
  }
};
using maker = std::function<std::unique_ptr<optim::Optimizer>(small_net&)>;

template <class O, class Options>
maker all(Options options) {
  return [options](small_net& net) { return std::make_unique<O>(net.parameters(), options); };
}
/// Two groups with different options, and one parameter in neither.
maker grouped() {
  return [](small_net& net) {
    std::vector<optim::OptimizerParamGroup> groups;
    groups.emplace_back(std::vector<at::Tensor>{net.conv->weight},
                        std::make_unique<optim::AdamOptions>(optim::AdamOptions(0.01).amsgrad(true)));
    groups.emplace_back(std::vector<at::Tensor>{net.out->weight, net.out->bias},
                        std::make_unique<optim::AdamOptions>(optim::AdamOptions(0.1)));
    return std::make_unique<optim::Adam>(groups, optim::AdamOptions(0.01));
  };
}
struct named_maker {
  std::string name;
  maker make;
};
std::vector<named_maker> every() {
  return {
      {"SGD", all<optim::SGD>(optim::SGDOptions(0.1))},
      {"SGD, momentum", all<optim::SGD>(optim::SGDOptions(0.1).momentum(0.9).nesterov(true).weight_decay(1e-3))},
      {"Adam", all<optim::Adam>(optim::AdamOptions(0.01))},
      {"Adam, amsgrad", all<optim::Adam>(optim::AdamOptions(0.01).amsgrad(true))},
      {"Adam, groups", grouped()},
      {"AdamW", all<optim::AdamW>(optim::AdamWOptions(0.01).weight_decay(0.1))},
      {"RMSprop", all<optim::RMSprop>(optim::RMSpropOptions(0.01))},
      {"RMSprop, momentum, centered", all<optim::RMSprop>(optim::RMSpropOptions(0.01).momentum(0.9).centered(true))},
      {"Adagrad", all<optim::Adagrad>(optim::AdagradOptions(0.1).initial_accumulator_value(0.1).lr_decay(0.01))}};
}

struct training {
  std::shared_ptr<small_net> net = std::make_shared<small_net>();
  dtask::flat_model model{net};
  std::unique_ptr<optim::Optimizer> optimizer;
  explicit training(const maker& make) : optimizer(make(*net)) {}
  void step(int n) {
    at::manual_seed(static_cast<std::uint64_t>(100 + n));
    const at::Tensor x = at::rand({4, 2, 6, 6});
    model.clear_gradients();
    at::cross_entropy_loss(net->out->forward(at::relu(net->conv->forward(x)).mean({2, 3})),
                           at::arange(4, at::kLong).remainder(3))
        .backward();
    optimizer->step();
  }
};

}  // namespace

TEST_CASE("optimizer state: restored in mid-run, over the wire, the next steps have the uninterrupted bytes") {
  for (const named_maker& kind : every()) {
    CAPTURE(kind.name);
    for (const int cut : {0, 1, 3}) {
      CAPTURE(cut);
      training whole(kind.make), first(kind.make), second(kind.make);
      for (int n = 0; n < 6; ++n) whole.step(n);
      for (int n = 0; n < cut; ++n) first.step(n);
      second.step(50);  // what it remembers must not show through
      dtask::training_state s;
      first.model.save(s);
      s.optimizer = dtask::save_optimizer(*first.optimizer, first.model);
      const auto got = dtask::decode<dtask::training_state>(dtask::encode(s));
      for (int n = cut; n < cut + 2; ++n) first.step(n);  // the state is a copy
      second.model.load(got);
      dtask::restore_optimizer(*second.optimizer, second.model, got.optimizer);
      for (int n = cut; n < 6; ++n) second.step(n);
      CHECK(at::equal(second.model.parameters().segments[0], whole.model.parameters().segments[0]));
      const auto a = dtask::save_optimizer(*whole.optimizer, whole.model),
                 b = dtask::save_optimizer(*second.optimizer, second.model);
      REQUIRE(a.slots.size() == b.slots.size());
      CHECK(a.steps == b.steps);
      for (std::size_t i = 0; i < a.slots.size(); ++i) CHECK(at::equal(a.slots[i].segments[0], b.slots[i].segments[0]));
    }
  }
}

TEST_CASE("optimizer state: what is kept, by name") {
  training t(grouped());
  CHECK(dtask::save_optimizer(*t.optimizer, t.model).slots.empty());
  t.step(0);
  t.step(1);
  const auto s = dtask::save_optimizer(*t.optimizer, t.model);
  CHECK(s.kind == "Adam");
  CHECK(s.steps == std::vector<std::int64_t>{2, -1, 2, 2});  // conv.bias is in no group
  REQUIRE(s.slots.size() == 3);
  CHECK(s.slots[0].name == "exp_avg");
  CHECK(s.slots[0].present == std::vector<std::uint8_t>{1, 0, 1, 1});
  CHECK(s.slots[2].name == "max_exp_avg_sq");
  CHECK(s.slots[2].present == std::vector<std::uint8_t>{1, 0, 0, 0});
  CHECK(s.slots[2].segments[0].numel() == 90);
}

TEST_CASE("optimizer state: a state of no kind makes it forget") {
  for (const named_maker& kind : every()) {
    CAPTURE(kind.name);
    training fresh(kind.make), used(kind.make);
    dtask::training_state start;
    used.model.save(start);
    used.step(7);
    used.model.load(start);
    dtask::restore_optimizer(*used.optimizer, used.model, {});
    for (int n = 0; n < 3; ++n) fresh.step(n);
    for (int n = 0; n < 3; ++n) used.step(n);
    CHECK(at::equal(fresh.model.parameters().segments[0], used.model.parameters().segments[0]));
  }
}

TEST_CASE("optimizer state: what does not fit is refused and changes nothing") {
  training adam(all<optim::Adam>(optim::AdamOptions(0.01))), sgd(all<optim::SGD>(optim::SGDOptions(0.1).momentum(0.9))),
      ams(all<optim::Adam>(optim::AdamOptions(0.01).amsgrad(true)));
  adam.step(0);
  sgd.step(0);
  ams.step(0);
  const auto state = dtask::save_optimizer(*adam.optimizer, adam.model);
  CHECK_THROWS_WITH_AS(dtask::restore_optimizer(*sgd.optimizer, sgd.model, state),
                       doctest::Contains("one of Adam, and the optimizer is SGD"), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::restore_optimizer(*ams.optimizer, ams.model, state),
                       doctest::Contains("need max_exp_avg_sq of conv.weight"), dtask::error);
  auto torn = state;
  torn.steps.pop_back();
  CHECK_THROWS_AS(dtask::restore_optimizer(*adam.optimizer, adam.model, torn), dtask::error);
  torn = state;
  torn.slots[1].present.pop_back();
  CHECK_THROWS_AS(dtask::restore_optimizer(*adam.optimizer, adam.model, torn), dtask::error);
  torn = state;
  torn.slots[1].segments[0] = at::zeros({3});
  CHECK_THROWS_AS(dtask::restore_optimizer(*adam.optimizer, adam.model, torn), dtask::error);
  const auto after = dtask::save_optimizer(*adam.optimizer, adam.model);
  for (std::size_t i = 0; i < state.slots.size(); ++i)
    CHECK(at::equal(state.slots[i].segments[0], after.slots[i].segments[0]));
}

TEST_CASE("optimizer state: an unknown optimizer, and one of other parameters") {
  struct own_sgd : optim::SGD {
    using optim::SGD::SGD;
  };
  training t(all<optim::SGD>(optim::SGDOptions(0.1)));
  own_sgd own(t.net->parameters(), optim::SGDOptions(0.1));
  CHECK_THROWS_WITH_AS(dtask::save_optimizer(own, t.model), doctest::Contains("own_sgd is not known to the trainer"),
                       dtask::error);
  optim::LBFGS lbfgs(t.net->parameters());
  CHECK_THROWS_WITH_AS(dtask::restore_optimizer(lbfgs, t.model, {}),
                       doctest::Contains("torch::optim::LBFGS is not known"), dtask::error);
  CHECK_THROWS_AS(dtask::learning_rate_scale{lbfgs}, dtask::error);
  optim::SGD foreign({at::ones({2}).requires_grad_(true)}, optim::SGDOptions(0.1));
  CHECK_THROWS_WITH_AS(dtask::save_optimizer(foreign, t.model), doctest::Contains("that the module does not have"),
                       dtask::error);
  CHECK(dtask::require_trainable_optimizer<optim::Adagrad>());
}

TEST_CASE("learning rate scale: every group keeps its base") {
  training t(grouped());
  dtask::learning_rate_scale scale(*t.optimizer);
  const auto rate = [&](std::size_t group) { return t.optimizer->param_groups()[group].options().get_lr(); };
  for (const double factor : {0.5, 2.0, 0.25}) {
    scale.set(factor);
    CHECK(rate(0) == 0.01 * factor);
    CHECK(rate(1) == 0.1 * factor);
  }
  CHECK_THROWS_AS(scale.set(-1), dtask::error);
  CHECK_THROWS_AS(scale.set(std::nan("")), dtask::error);
}
