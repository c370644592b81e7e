// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/checkpoint.hpp"

#include <ATen/Functions.h>
#include <doctest/doctest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dtask/base/read_file.hpp"
#include "dtask/torch/aggregate.hpp"
#include "dtask/torch/model_file.hpp"
#include "dtask/torch/optimizer_state.hpp"
#include "dtask/torch/weight_average.hpp"
#include "one_thread.hpp"
#include "temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {

namespace nn = torch::nn;
namespace optim = torch::optim;

struct small_net : nn::Module {
  nn::Conv2d conv{nullptr};
  nn::BatchNorm2d norm{nullptr};
  nn::Linear out{nullptr};
  explicit small_net(std::int64_t width = 4) {
    at::manual_seed(1);
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(1, width, 3)));
    norm = register_module("norm", nn::BatchNorm2d(width));
    out = register_module("out", nn::Linear(width, 3));
    register_buffer("none", at::empty({0}));  // two arrays without bytes
    register_buffer("nothing", at::empty({0, 3}));
  }
  at::Tensor forward(const at::Tensor& x) {
    return out->forward(at::relu(norm->forward(conv->forward(x))).mean({2, 3}));
  }
};
using maker = std::function<std::unique_ptr<optim::Optimizer>(small_net&)>;

/// A trainer in little: rounds of three local steps of two ranks, DiLoCo outside, a moving average of the weights.
struct run {
  maker make;
  std::shared_ptr<small_net> net = std::make_shared<small_net>();
  dtask::flat_model model{net};
  std::unique_ptr<optim::Optimizer> optimizer;
  dtask::training_state state;
  std::vector<at::Tensor> momentum;
  dtask::weight_average average{0.9};

  explicit run(maker m) : make(std::move(m)), optimizer(make(*net)) {
    model.save(state);
    state.optimizer = dtask::save_optimizer(*optimizer, model);
  }
  void round() {
    std::vector<dtask::state_part> parts;
    for (std::int32_t rank = 0; rank < 2; ++rank) {
      model.load(state);
      dtask::restore_optimizer(*optimizer, model, state.optimizer);
      for (int h = 0; h < 3; ++h) {
        at::manual_seed(static_cast<std::uint64_t>(1000 * state.counters.round + 10 * rank + h));
        model.clear_gradients();
        at::cross_entropy_loss(net->forward(at::rand({6, 1, 6, 6})), at::arange(6, at::kLong).remainder(3)).backward();
        optimizer->step();
      }
      parts.push_back({rank, 18 + rank, {}});
      model.save(parts.back().state);
      parts.back().state.optimizer = dtask::save_optimizer(*optimizer, model);
      parts.back().state.counters.steps = state.counters.steps + 3;
    }
    state = dtask::diloco(state, parts, momentum);
    average.update(state.parameters.segments);
  }
  dtask::checkpoint checkpoint() const {
    return {state, "recipe", 7, 0.25, {{"outer_momentum", momentum}, {"weight_average", average.segments()}}};
  }
  void resume(const dtask::checkpoint& from) {
    state = from.state;
    momentum = from.kept.at("outer_momentum");
    average.restore(from.kept.at("weight_average"));
  }
};
bool same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  bool equal = a.size() == b.size();
  for (std::size_t i = 0; equal && i < a.size(); ++i)
    equal = a[i].scalar_type() == b[i].scalar_type() && a[i].nbytes() == b[i].nbytes() &&
            (a[i].numel() == 0 || std::memcmp(a[i].const_data_ptr(), b[i].const_data_ptr(), a[i].nbytes()) == 0);
  return equal;
}
void check_same(const run& a, const run& b) {
  CHECK(same(a.state.parameters.segments, b.state.parameters.segments));
  CHECK(same(a.state.buffers.segments, b.state.buffers.segments));
  CHECK(same(a.momentum, b.momentum));
  CHECK(same(a.average.segments(), b.average.segments()));
  CHECK(a.state.optimizer.steps == b.state.optimizer.steps);
  REQUIRE(a.state.optimizer.slots.size() == b.state.optimizer.slots.size());
  for (std::size_t i = 0; i < a.state.optimizer.slots.size(); ++i) {
    CHECK(a.state.optimizer.slots[i].present == b.state.optimizer.slots[i].present);
    CHECK(same(a.state.optimizer.slots[i].segments, b.state.optimizer.slots[i].segments));
  }
  CHECK(a.state.counters == b.state.counters);
}
maker partial_adam() {  // not all parameters: some have no state
  return [](small_net& net) {
    return std::make_unique<optim::Adam>(std::vector<at::Tensor>{net.conv->weight, net.out->bias},
                                         optim::AdamOptions(0.01).amsgrad(true));
  };
}

}  // namespace

TEST_CASE("checkpoint: a resumed training computes the bytes of the uninterrupted one") {
  const std::vector<maker> makers{
      [](small_net& n) { return std::make_unique<optim::SGD>(n.parameters(), optim::SGDOptions(0.1).momentum(0.9)); },
      [](small_net& n) { return std::make_unique<optim::AdamW>(n.parameters(), optim::AdamWOptions(0.01)); },
      [](small_net& n) {
        return std::make_unique<optim::RMSprop>(n.parameters(), optim::RMSpropOptions(0.01).momentum(0.5));
      },
      [](small_net& n) { return std::make_unique<optim::Adagrad>(n.parameters(), optim::AdagradOptions(0.1)); },
      [](small_net& n) { return std::make_unique<optim::SGD>(n.parameters(), optim::SGDOptions(0.1)); },
      partial_adam()};
  for (const maker& make : makers) {
    const dtask_test::temporary_folder folder;
    const dtask::checkpoint_folder checkpoints(folder.path().string());
    run whole(make), first(make);
    for (int i = 0; i < 4; ++i) whole.round();
    for (int i = 0; i < 2; ++i) {
      first.round();
      dtask::write_checkpoint(checkpoints, first.checkpoint());
    }
    run second(make);
    const dtask::resumed got = dtask::read_newest_checkpoint(checkpoints, second.model, "recipe");
    REQUIRE(got.found);
    CHECK(got.passed.empty());
    CHECK(got.path == folder.path().string() + "/checkpoint-000000002");
    CHECK(got.found->seed == 7);
    CHECK(got.found->progress == 0.25);
    CHECK(got.found->recipe == "recipe");
    second.resume(*got.found);
    check_same(first, second);
    for (int i = 0; i < 2; ++i) second.round();
    check_same(whole, second);
    // What is written again has the same bytes.
    const std::string again = dtask::write_checkpoint(checkpoints, whole.checkpoint());
    const dtask::bytes one = dtask::read_file(again + ".safetensors"), json = dtask::read_file(again + ".json");
    dtask::write_checkpoint(checkpoints, second.checkpoint());
    CHECK(dtask::read_file(again + ".safetensors") == one);
    CHECK(dtask::read_file(again + ".json") == json);
  }
}

TEST_CASE("checkpoint: before the first step, with nothing to keep yet") {
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string());
  run r(partial_adam());
  dtask::write_checkpoint(checkpoints, {r.state, "recipe", 0, 0, {{"outer_momentum", {}}}});
  const auto got = dtask::read_newest_checkpoint(checkpoints, r.model, "recipe");
  REQUIRE(got.found);
  REQUIRE(got.found->kept.size() == 1);
  CHECK(got.found->kept.at("outer_momentum").empty());
  CHECK(got.found->state.optimizer.kind == "Adam");
  CHECK(got.found->state.optimizer.slots.empty());
  CHECK_NOTHROW(dtask::restore_optimizer(*r.optimizer, r.model, got.found->state.optimizer));
}

TEST_CASE("checkpoint: torn ones, those of other recipes, models and versions are passed over") {
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string(), 10);
  run r(partial_adam());
  r.round();
  dtask::write_checkpoint(checkpoints, r.checkpoint());
  r.round();
  const std::string torn = dtask::write_checkpoint(checkpoints, r.checkpoint());
  fs::resize_file(torn + ".safetensors", fs::file_size(torn + ".safetensors") - 1);
  dtask::checkpoint other = r.checkpoint();
  other.state.counters.round = 3;
  other.recipe = "another";
  dtask::write_checkpoint(checkpoints, other);
  other = r.checkpoint();
  other.state.counters.round = 4;
  other.state.libtorch = "2.10.0";
  dtask::write_checkpoint(checkpoints, other);
  const auto wide = std::make_shared<small_net>(5);
  const dtask::flat_model wide_model(wide);
  other = {{}, "recipe", 7, 0.25, {}};
  wide_model.save(other.state);
  other.state.counters.round = 5;
  dtask::write_checkpoint(checkpoints, other);

  const auto got = dtask::read_newest_checkpoint(checkpoints, r.model, "recipe");
  REQUIRE(got.found);
  CHECK(got.found->state.counters.round == 1);
  REQUIRE(got.passed.size() == 4);
  CHECK(got.passed[0].why.find("other names, shapes or types") != std::string::npos);
  CHECK(got.passed[1].why.find("LibTorch 2.10.0") != std::string::npos);
  CHECK(got.passed[2].why.find("another recipe") != std::string::npos);
  CHECK(got.passed[3].why.find("torn") == 0);
  const auto of_wide = dtask::read_newest_checkpoint(checkpoints, wide_model, "recipe");
  REQUIRE(of_wide.found);
  CHECK(of_wide.found->state.counters.round == 5);
  CHECK(!dtask::read_newest_checkpoint(checkpoints, r.model, "third").found);
  // Other buffers are another model, too.
  r.net->register_buffer("more", at::zeros({2}));
  CHECK(!dtask::read_newest_checkpoint(checkpoints, r.model, "recipe").found);
}

TEST_CASE("checkpoint: a full disk is an error, and the older ones stay whole") {
  if (!fs::exists("/dev/full")) return;
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string());
  run r(partial_adam());
  r.round();
  dtask::write_checkpoint(checkpoints, r.checkpoint());
  r.round();
  fs::create_symlink("/dev/full", folder.path() / "checkpoint-000000002.safetensors.part");
  CHECK_THROWS_WITH_AS(dtask::write_checkpoint(checkpoints, r.checkpoint()),
                       doctest::Contains("No space left on device"), dtask::error);
  const auto got = dtask::read_newest_checkpoint(checkpoints, r.model, "recipe");
  REQUIRE(got.found);
  CHECK(got.found->state.counters.round == 1);
}

TEST_CASE("checkpoint: its weights are a file of the model") {
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string());
  run r(partial_adam());
  r.round();
  const std::string path = dtask::write_checkpoint(checkpoints, r.checkpoint());
  const auto net = std::make_shared<small_net>();
  dtask::load_model(path + ".safetensors", *net);
  r.model.load(r.state);
  for (const auto& p : r.net->named_parameters()) CHECK(at::equal(p.value(), net->named_parameters()[p.key()]));
  for (const auto& b : r.net->named_buffers()) CHECK(at::equal(b.value(), net->named_buffers()[b.key()]));
}

TEST_CASE("checkpoint: keys that would be mistaken are refused") {
  const dtask_test::temporary_folder folder;
  const dtask::checkpoint_folder checkpoints(folder.path().string());
  run r(partial_adam());
  for (const std::string key : {"", "a,b", "a/b"}) {
    const dtask::checkpoint c{r.state, "recipe", 0, 0, {{key, r.state.parameters.segments}}};
    CHECK_THROWS_AS(dtask::write_checkpoint(checkpoints, c), dtask::error);
  }
  const dtask::checkpoint torn{r.state, "recipe", 0, 0, {{"a", {at::zeros({1})}}}};
  CHECK_THROWS_AS(dtask::write_checkpoint(checkpoints, torn), dtask::error);
  CHECK(folder.names().empty());
}
