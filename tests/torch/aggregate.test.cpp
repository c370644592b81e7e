// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/aggregate.hpp"

#include <ATen/Functions.h>
#include <doctest/doctest.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dtask/torch/flat_model.hpp"
#include "dtask/torch/optimizer_state.hpp"
#include "one_thread.hpp"

namespace {

namespace nn = torch::nn;
namespace optim = torch::optim;

/// Without batch norm, so that a sum over ranks is the sum over their samples.
struct small_net : nn::Module {
  nn::Conv2d conv{nullptr};
  nn::Linear out{nullptr};
  explicit small_net(at::ScalarType type) {
    at::manual_seed(1);
    conv = register_module("conv", nn::Conv2d(nn::Conv2dOptions(1, 4, 3)));
    out = register_module("out", nn::Linear(4 * 6 * 6, 5));
    to(type);
  }
  at::Tensor forward(const at::Tensor& x) { return out->forward(at::relu(conv->forward(x)).contiguous().flatten(1)); }
};

using maker = std::function<std::unique_ptr<optim::Optimizer>(small_net&)>;
maker sgd() {
  return [](small_net& net) {
    return std::make_unique<optim::SGD>(net.parameters(), optim::SGDOptions(0.05).momentum(0.9));
  };
}
maker adamw() {
  return [](small_net& net) { return std::make_unique<optim::AdamW>(net.parameters(), optim::AdamWOptions(1e-3)); };
}

/// What a worker holds: a model and its optimizer.
struct worker {
  std::shared_ptr<small_net> net;
  dtask::flat_model model;
  std::unique_ptr<optim::Optimizer> optimizer;
  worker(at::ScalarType type, const maker& make)
      : net(std::make_shared<small_net>(type)), model(net), optimizer(make(*net)) {}
  void backward(const at::Tensor& x, const at::Tensor& y, double factor) {
    model.clear_gradients();
    (at::cross_entropy_loss(net->forward(x), y) * factor).backward();
  }
  dtask::training_state state() {
    dtask::training_state s;
    model.save(s);
    s.optimizer = dtask::save_optimizer(*optimizer, model);
    return s;
  }
  void load(const dtask::training_state& s) {
    model.load(s);
    dtask::restore_optimizer(*optimizer, model, s.optimizer);
  }
};

constexpr std::int64_t global_batch = 24;
struct data {
  at::Tensor x, y;
  explicit data(at::ScalarType type) {
    at::manual_seed(2);
    x = at::rand({10, global_batch, 1, 8, 8}, type);
    y = at::randint(5, {10, global_batch}, at::kLong);
  }
};
std::vector<std::pair<std::int64_t, std::int64_t>> split(std::int64_t ranks) {
  std::vector<std::pair<std::int64_t, std::int64_t>> out;
  for (std::int64_t r = 0; r < ranks; ++r) {
    const std::int64_t begin = global_batch * r / ranks;
    out.emplace_back(begin, global_batch * (r + 1) / ranks - begin);
  }
  return out;
}

/// The parameters after `steps` steps of `ranks` simulated ranks, each a job of the state.
dtask::training_state synchronous(at::ScalarType type, std::int64_t ranks, std::int64_t steps, const maker& make) {
  const data d(type);
  worker trainer(type, make), rank(type, make);
  for (std::int64_t s = 0; s < steps; ++s) {
    const dtask::training_state state = trainer.state();
    std::vector<dtask::gradient_part> parts;
    for (const auto& [begin, count] : split(ranks)) {
      rank.model.load(state);
      rank.backward(d.x[s % 10].narrow(0, begin, count), d.y[s % 10].narrow(0, begin, count),
                    static_cast<double>(count));
      parts.push_back({static_cast<std::int32_t>(parts.size()), count, {}});
      for (const at::Tensor& g : rank.model.gradients()) parts.back().gradients.push_back(g.clone());
    }
    trainer.model.set_gradients(dtask::mean_gradients(parts));
    trainer.optimizer->step();
  }
  return trainer.state();
}
/// The same of rounds of `local` steps. `finish`: what makes one state of the parts.
template <class Finish>
dtask::training_state rounds(at::ScalarType type, std::int64_t ranks, std::int64_t count, std::int64_t local,
                             const maker& make, Finish finish) {
  const data d(type);
  worker rank(type, make);
  dtask::training_state state = rank.state();
  std::int64_t step = 0;
  for (std::int64_t round = 0; round < count; ++round) {
    std::vector<dtask::state_part> parts;
    for (const auto& [begin, size] : split(ranks)) {
      rank.load(state);
      for (std::int64_t h = 0; h < local; ++h) {
        rank.backward(d.x[(step + h) % 10].narrow(0, begin, size), d.y[(step + h) % 10].narrow(0, begin, size), 1);
        rank.optimizer->step();
      }
      parts.push_back({static_cast<std::int32_t>(parts.size()), size * local, rank.state()});
      parts.back().state.counters = state.counters;
      parts.back().state.counters.steps += local;
    }
    step += local;
    state = finish(state, parts);
  }
  return state;
}
/// As one would write it, without anything of dtask.
std::vector<at::Tensor> bare(at::ScalarType type, std::int64_t steps, const maker& make) {
  const data d(type);
  small_net net(type);
  const auto optimizer = make(net);
  for (std::int64_t s = 0; s < steps; ++s) {
    optimizer->zero_grad();
    at::cross_entropy_loss(net.forward(d.x[s % 10]), d.y[s % 10]).backward();
    optimizer->step();
  }
  std::vector<at::Tensor> out;
  for (const at::Tensor& p : net.parameters()) out.push_back(p.detach());
  return out;
}
double difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double most = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, (a[i] - b[i]).abs().max().item<double>());
  return most;
}
bool same_bytes(const dtask::training_state& a, const dtask::training_state& b) {
  const auto same = [](const std::vector<at::Tensor>& x, const std::vector<at::Tensor>& y) {
    bool equal = x.size() == y.size();
    for (std::size_t i = 0; equal && i < x.size(); ++i)
      equal = x[i].nbytes() == y[i].nbytes() &&
              std::memcmp(x[i].const_data_ptr(), y[i].const_data_ptr(), x[i].nbytes()) == 0;
    return equal;
  };
  bool equal = same(a.parameters.segments, b.parameters.segments) && same(a.buffers.segments, b.buffers.segments) &&
               a.optimizer.steps == b.optimizer.steps && a.optimizer.slots.size() == b.optimizer.slots.size();
  for (std::size_t i = 0; equal && i < a.optimizer.slots.size(); ++i)
    equal = same(a.optimizer.slots[i].segments, b.optimizer.slots[i].segments);
  return equal;
}
dtask::training_state averaged(const dtask::training_state& base, const std::vector<dtask::state_part>& parts) {
  return dtask::average(base, parts);
}

/// A state of one parameter segment, one floating and one whole-number buffer.
dtask::training_state tiny(std::vector<float> values, double mean, std::int64_t count) {
  dtask::training_state s;
  s.libtorch = dtask::libtorch_version;
  const auto n = static_cast<std::int64_t>(values.size());
  s.parameters = {{{{"w", {n}, 9, false}}}, {at::tensor(values)}};
  s.buffers = {{{{"count", {}, 6, false}, {"mean", {}, 10, false}}},
               {at::full({1}, count, at::kLong), at::full({1}, mean, at::kDouble)}};
  return s;
}
std::vector<float> values(const dtask::training_state& s) {
  const at::Tensor& t = s.parameters.segments[0];
  return {t.const_data_ptr<float>(), t.const_data_ptr<float>() + t.numel()};
}

}  // namespace

TEST_CASE("aggregate: summed gradients of 1, 2 and 4 ranks at one global batch equal a bare loop, float64, 100 steps") {
  const std::vector<at::Tensor> right = bare(at::kDouble, 100, sgd());
  for (const std::int64_t ranks : {1, 2, 4}) {
    CAPTURE(ranks);
    const dtask::training_state got = synchronous(at::kDouble, ranks, 100, sgd());
    CHECK(difference(dtask::views_of(got.parameters), right) < 1e-10);
  }
  // Uneven ranks, another optimizer.
  const dtask::training_state got = synchronous(at::kDouble, 5, 100, adamw());
  CHECK(difference(dtask::views_of(got.parameters), bare(at::kDouble, 100, adamw())) < 1e-10);
}

TEST_CASE("aggregate: averaging after every step equals summed gradients, with SGD") {
  for (const std::int64_t ranks : {1, 2, 3}) {
    CAPTURE(ranks);
    const dtask::training_state a = synchronous(at::kDouble, ranks, 60, sgd()),
                                b = rounds(at::kDouble, ranks, 60, 1, sgd(), averaged);
    CHECK(difference(a.parameters.segments, b.parameters.segments) < 1e-10);
    CHECK(difference(a.optimizer.slots[0].segments, b.optimizer.slots[0].segments) < 1e-10);
    CHECK(b.counters.round == 60);
    CHECK(b.counters.steps == 60);
    CHECK(b.counters.samples == 60 * global_batch);
  }
}

TEST_CASE("aggregate: the same seed twice gives the same bytes, and LibTorch's threads change none") {
  const auto outer = [] {
    return [momentum = std::vector<at::Tensor>()](const dtask::training_state& base,
                                                  const std::vector<dtask::state_part>& parts) mutable {
      return dtask::diloco(base, parts, momentum);
    };
  };
  CHECK(same_bytes(synchronous(at::kFloat, 3, 10, sgd()), synchronous(at::kFloat, 3, 10, sgd())));
  CHECK(same_bytes(rounds(at::kFloat, 3, 4, 3, adamw(), averaged), rounds(at::kFloat, 3, 4, 3, adamw(), averaged)));
  CHECK(same_bytes(rounds(at::kFloat, 3, 4, 3, adamw(), outer()), rounds(at::kFloat, 3, 4, 3, adamw(), outer())));
  at::manual_seed(3);
  std::vector<dtask::gradient_part> parts;
  for (std::int32_t r = 0; r < 3; ++r) parts.push_back({r, 10 + r, {at::randn({200000})}});
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const at::Tensor one = dtask::mean_gradients(parts)[0];
  at::set_num_threads(3);
  const at::Tensor three = dtask::mean_gradients(parts)[0];
  at::set_num_threads(before);
  CHECK(at::equal(one, three));
}

TEST_CASE("aggregate: sums and means of gradients, ranks without samples left out") {
  const std::vector<dtask::gradient_part> parts{{0, 3, {at::tensor({1.0F, 2.0F}), at::empty({0}, at::kLong)}},
                                                {2, 0, {at::tensor({9.0F, 9.0F}), at::empty({0}, at::kLong)}},
                                                {7, 1, {at::tensor({5.0F, -4.0F}), at::empty({0}, at::kLong)}}};
  CHECK(at::equal(dtask::sum_gradients(parts)[0], at::tensor({6.0F, -2.0F})));
  CHECK(at::equal(dtask::mean_gradients(parts)[0], at::tensor({1.5F, -0.5F})));
  CHECK(dtask::sum_gradients(parts)[1].numel() == 0);
  // In double, rounded once: in float32, 1 would be lost.
  const std::vector<dtask::gradient_part> far{
      {0, 1, {at::full({1}, 1e8F)}}, {1, 1, {at::full({1}, 1.0F)}}, {2, 1, {at::full({1}, -1e8F)}}};
  CHECK(dtask::sum_gradients(far)[0].item<float>() == 1);
}

TEST_CASE("aggregate: half precision") {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    const std::vector<dtask::gradient_part> parts{{0, 1, {at::full({5}, 1.5, type)}},
                                                  {1, 3, {at::full({5}, 2.5, type)}}};
    CHECK(at::equal(dtask::mean_gradients(parts)[0], at::full({5}, 1.0, type)));
  }
}

TEST_CASE("aggregate: averages weigh by samples; whole-number buffers are the lowest rank's") {
  const dtask::training_state base = tiny({0, 0}, 0, 1);
  std::vector<dtask::state_part> parts{{1, 30, tiny({1, 2}, 10, 4)}, {2, 10, tiny({5, -2}, 50, 9)}};
  parts[0].state.counters.steps = 3;
  parts[1].state.counters.steps = 5;
  parts[0].state.optimizer = {"Adam", {{"exp_avg", {1}, {at::tensor({4.0F, 0.0F})}}}, {3}};
  parts[1].state.optimizer = {"Adam", {{"exp_avg", {1}, {at::tensor({0.0F, 8.0F})}}}, {5}};
  const dtask::training_state got = dtask::average(base, parts);
  CHECK(values(got) == std::vector<float>{2, 1});
  CHECK(got.buffers.segments[0].item<std::int64_t>() == 4);
  CHECK(got.buffers.segments[1].item<double>() == 20);
  CHECK(got.optimizer.kind == "Adam");
  CHECK(at::equal(got.optimizer.slots[0].segments[0], at::tensor({3.0F, 2.0F})));
  CHECK(got.optimizer.steps == std::vector<std::int64_t>{5});
  CHECK(got.counters == dtask::training_counters{0, 1, 5, 40});
  const dtask::training_state reset = dtask::average(base, parts, dtask::optimizer_merge::reset);
  CHECK(reset.optimizer.kind.empty());
  CHECK(reset.optimizer.slots.empty());
  CHECK(values(base) == std::vector<float>{0, 0});
}

TEST_CASE("aggregate: equal values average to themselves, one rank to its own bytes") {
  at::manual_seed(4);
  const at::Tensor random = at::randn({1000});
  std::vector<float> v(random.const_data_ptr<float>(), random.const_data_ptr<float>() + 1000);
  for (const std::int32_t ranks : {1, 3, 7}) {
    std::vector<dtask::state_part> parts;
    for (std::int32_t r = 0; r < ranks; ++r) parts.push_back({r, 10 + r, tiny(v, 0.1, 0)});
    const dtask::training_state got = dtask::average(tiny(v, 0, 0), parts);
    CHECK(values(got) == v);
    CHECK(got.buffers.segments[1].item<double>() == 0.1);
  }
}

TEST_CASE("aggregate: DiLoCo's outer step is LibTorch's SGD with Nesterov momentum on the averaged change") {
  at::Tensor outer = at::tensor({1.0, -2.0, 0.5}).requires_grad_(true);
  optim::SGD reference({outer}, optim::SGDOptions(0.7).momentum(0.9).nesterov(true));
  const auto state_of = [](const at::Tensor& t) {
    dtask::training_state s;
    s.libtorch = dtask::libtorch_version;
    s.parameters = {{{{"w", {3}, 10, false}}}, {t}};
    return s;
  };
  dtask::training_state state = state_of(outer.detach().clone());
  std::vector<at::Tensor> momentum;
  at::manual_seed(5);
  for (int round = 0; round < 4; ++round) {
    const at::Tensor a = at::randn({3}, at::kDouble), b = at::randn({3}, at::kDouble);
    outer.mutable_grad() = outer.detach() - (a * 0.75 + b * 0.25);
    reference.step();
    const std::vector<at::Tensor> kept = momentum;
    const at::Tensor memory = kept.empty() ? at::Tensor() : kept[0].clone();
    state = dtask::diloco(state, {{0, 3, state_of(a)}, {1, 1, state_of(b)}}, momentum);
    CHECK(at::allclose(state.parameters.segments[0], outer.detach(), 1e-12, 1e-12));
    if (memory.defined()) CHECK(at::equal(kept[0], memory));  // replaced, not written to
  }
  CHECK(state.counters.round == 4);
  // Without momentum and at rate 1 it is the average.
  std::vector<at::Tensor> none;
  const auto plain =
      dtask::diloco(state, {{0, 1, state_of(at::ones({3}, at::kDouble))}}, none, {.rate = 1, .momentum = 0});
  CHECK(at::allclose(plain.parameters.segments[0], at::ones({3}, at::kDouble), 1e-12, 1e-12));
}

TEST_CASE("aggregate: what does not belong together is refused, and the rank named") {
  const dtask::training_state base = tiny({0, 0}, 0, 0);
  const auto refused = [&](const std::vector<dtask::state_part>& parts, const char* why) {
    CHECK_THROWS_WITH_AS(dtask::average(base, parts), doctest::Contains(why), dtask::error);
  };
  refused({}, "no rank has trained");
  refused({{0, 0, base}}, "no rank has trained");
  refused({{1, 5, base}, {0, 5, base}}, "rank order");
  refused({{1, 5, base}, {1, 5, base}}, "one came twice (rank 1)");
  refused({{0, -1, base}}, "negative number of samples (rank 0)");
  auto other = base;
  other.parameters.layout.entries[0].name = "v";
  refused({{0, 5, base}, {3, 5, other}}, "w in the model and v in the other (rank 3)");
  other = base;
  other.libtorch = "2.9.1";
  refused({{0, 5, base}, {3, 5, other}}, "LibTorch 2.9.1");
  other = base;
  other.parameters.segments[0] = at::zeros({3});
  refused({{0, 5, base}, {3, 5, other}}, "segments differ from the others' (rank 3)");
  other = base;
  other.optimizer = {"SGD", {}, {0}};
  refused({{0, 5, base}, {3, 5, other}},
          "optimizer state that differs from the other ranks' in what it keeps (rank 3)");
  CHECK_THROWS_WITH_AS(dtask::sum_gradients({{0, 1, {at::ones({2})}}, {1, 1, {at::ones({3})}}}),
                       doctest::Contains("(rank 1)"), dtask::error);
  CHECK_THROWS_AS(dtask::sum_gradients({{0, 1, {at::ones({2})}}, {1, 1, {at::ones({2}, at::kDouble)}}}), dtask::error);
  std::vector<at::Tensor> momentum{at::ones({1})};
  CHECK_THROWS_WITH_AS(dtask::diloco(base, {{0, 1, base}}, momentum), doctest::Contains("outer optimizer's momentum"),
                       dtask::error);
  momentum.clear();
  CHECK_THROWS_AS(dtask::diloco(base, {{0, 1, base}}, momentum, {.momentum = 1}), dtask::error);
}
