// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/worker_device.hpp"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cuda/cuda_device.hpp"
#include "dtask/job/job_context.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/torch/torch_task.hpp"
#include "task/manual_scheduler.hpp"
#include "torch/training_recipes.hpp"

using dtask::cuda::worker_device;
using dtask_test::bounded_on;

namespace {

/// A context as a job has it, of a worker that computes on a device.
struct place {
  std::string name;
  std::string_view worker() const { return "here"; }
  std::string_view device() const { return name; }
};

/// Numbers there and back, by every way that a job has.
dtask::torch_task<> there_and_back(worker_device* d) {
  const c10::InferenceMode no_gradients;
  const auto on = d->enter();
  // 9 MB: three slabs, the last one not full; and a few bytes.
  const at::Tensor large = at::arange(0, 9 * 1024 * 256, at::kFloat), few = at::arange(0, 3, at::kLong),
                   across = at::arange(0, 12, at::kFloat).reshape({3, 4}).t();
  std::vector<dtask::flat_model::tensor_copy> pairs;
  for (const at::Tensor& t : {large, few, across})
    pairs.push_back({t, at::zeros(t.sizes(), t.options().device(d->device()))});
  const std::vector<at::Tensor> on_device{pairs[0].to, pairs[1].to, pairs[2].to};
  auto copying = d->copy_in(std::move(pairs));
  co_await std::move(copying);
  std::vector<at::Tensor> wanted{on_device[0] + 1, on_device[1], on_device[2]};
  auto bringing = d->copy_out(std::move(wanted));
  const std::vector<at::Tensor> back = co_await std::move(bringing);
  CHECK(back[0].equal(large + 1));
  CHECK(back[1].equal(few));
  CHECK(back[2].equal(across));
  for (const at::Tensor& t : back) CHECK(t.device().is_cpu());

  for (const std::int64_t size : {2, 64, 3}) {  // larger than the first, too
    dtask::batch b;
    b.inputs = at::arange(0, size * 5, at::kFloat).reshape({size, 5});
    b.targets = at::arange(0, size, at::kLong);
    const dtask::batch kept = b;
    auto starting = d->start(std::move(b));
    auto there = co_await std::move(starting);
    const dtask::batch here = d->hand_over(std::move(there));
    CHECK(here.inputs.device() == d->device());
    std::vector<at::Tensor> both{here.inputs * 2, here.targets};
    auto returning = d->copy_out(std::move(both));
    const std::vector<at::Tensor> got = co_await std::move(returning);
    CHECK(got[0].equal(kept.inputs * 2));
    CHECK(got[1].equal(kept.targets));
    auto pacing = d->pace();
    co_await std::move(pacing);
  }
}

struct outcome {
  std::string bytes;
  std::optional<dtask::error> failed;
  double right = 0;
  bool reproducible = false;
};
using train_there = dtask::training<"points-there/1", test::recipe, worker_device>;

/// Asks for more memory than any device has.
struct glutton {
  std::int32_t batch = 8;
  auto model() const { return std::make_shared<test::two_layers>(false, false, false); }
  auto optimizer(dtask::parameters p) const {
    return std::make_unique<torch::optim::SGD>(p, torch::optim::SGDOptions(0.1));
  }
  dtask::tensor_dataset data(dtask::split which) const { return test::points(which, 64, false); }
  at::Tensor loss(test::two_layers& m, const dtask::batch& b, dtask::tally&) const {
    const at::Tensor all = at::empty({std::int64_t{1} << 42}, b.inputs.options());
    return m.forward(b.inputs).sum() + all.sum();
  }
};
using train_glutton = dtask::training<"glutton/1", glutton, worker_device>;
using jobs = dtask::registry<test::train, train_there, train_glutton>;

template <class Training>
dtask::task<> train_on(dtask::cluster* c, typename Training::recipe_type r, dtask::training_options o, outcome* out) {
  try {
    dtask::trainer<Training> t(*c, std::move(r), std::move(o));
    while (auto e = co_await t.next()) {
      if (e->held_out.contains("right")) out->right = e->held_out.mean("right");
      out->reproducible = e->reproducible;
    }
    out->bytes = test::bytes_of(*t.model());
  } catch (const dtask::error& e) {
    out->failed = e;
  }
}
dtask::task<> session(dtask::cluster_options where, dtask::training_options o, std::vector<outcome>* out) {
  auto connecting = dtask::cluster::connect<jobs>("local://1", std::move(where));
  dtask::cluster c = co_await std::move(connecting);
  test::recipe r;
  r.norm = true;
  out->resize(4);
  auto there = train_on<train_there>(&c, r, o, &(*out)[0]);
  co_await std::move(there);
  auto again = train_on<train_there>(&c, r, o, &(*out)[1]);
  co_await std::move(again);
  auto too_much = train_on<train_glutton>(&c, {}, o, &(*out)[2]);
  co_await std::move(too_much);
  auto afterwards = train_on<train_there>(&c, r, o, &(*out)[3]);
  co_await std::move(afterwards);
  co_await c.close();
}
std::vector<outcome> train_four(std::string device, const dtask::strategy& how) {
  dtask::cluster_options where;
  where.worker.device = std::move(device);
  std::vector<outcome> out;
  dtask::sync_wait(
      session(std::move(where), {.strategy = how, .ranks = 2, .epochs = 4, .seed = 3, .clip_norm = 2}, &out));
  return out;
}
void check_four(const std::vector<outcome>& four) {
  REQUIRE_FALSE(four[0].failed);
  CHECK(four[0].right > 0.6);
  CHECK(four[0].reproducible);
  CHECK(four[1].bytes == four[0].bytes);
  // Memory that is not there breaks nothing: the worker goes on.
  REQUIRE(four[2].failed);
  CHECK(four[2].failed->cause().find("LibTorch") != std::string::npos);
  CHECK(four[3].bytes == four[0].bytes);
}
dtask::task<> plain(std::vector<outcome>* out, dtask::training_options o) {
  auto connecting = dtask::cluster::connect<jobs>("local://1");
  dtask::cluster c = co_await std::move(connecting);
  test::recipe r;
  r.norm = true;
  out->resize(1);
  auto training = train_on<test::train>(&c, r, o, &(*out)[0]);
  co_await std::move(training);
  co_await c.close();
}

}  // namespace

TEST_CASE("worker device: the CPU is one") {
  place cpu{"cpu"};
  worker_device d(cpu);
  CHECK(d.device().is_cpu());
  CHECK_FALSE(d.is_later());
  CHECK_FALSE(d.name().empty());
  dtask::work_pool pool(2);
  bounded_on(pool, there_and_back(&d));
}

TEST_CASE("worker device: on the CPU a training gives the bytes of one that knows no device") {
  for (const dtask::strategy& how : {dtask::sync(), dtask::local_sgd(4)}) {
    const auto four = train_four("cpu", how);
    check_four(four);
    std::vector<outcome> bare;
    dtask::sync_wait(plain(&bare, {.strategy = how, .ranks = 2, .epochs = 4, .seed = 3, .clip_norm = 2}));
    REQUIRE_FALSE(bare[0].failed);
    CHECK(bare[0].bytes == four[0].bytes);
  }
}

TEST_CASE("worker device: a device that is not there is the training's error") {
  const auto four = train_four("cuda:120", dtask::sync());
  REQUIRE(four[0].failed);
  CHECK(four[0].failed->cause().find("no device cuda:120") != std::string::npos);
}

TEST_CASE("worker device: numbers there and back") {
  if (!dtask_test::has_device()) return;
  place cuda{"cuda:0"};
  worker_device d(cuda);
  CHECK(d.device() == dtask_test::device());
  CHECK(d.is_later());
  CHECK(d.name().find("CUDA") != std::string::npos);
  dtask::work_pool pool(2);
  bounded_on(pool, there_and_back(&d));
}

TEST_CASE("worker device: a training on it learns, twice to the same bytes, and survives a full device") {
  if (!dtask_test::has_device()) return;
  for (const dtask::strategy& how : {dtask::sync(), dtask::local_sgd(4), dtask::diloco(5)}) {
    CAPTURE(dtask::to_string(how));
    check_four(train_four("cuda:0", how));
  }
}
