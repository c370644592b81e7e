// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/trainer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/node/cluster.hpp"
#include "dtask/node/coordinator.hpp"
#include "dtask/node/worker.hpp"
#include "dtask/task/sync_wait.hpp"
#include "temporary_folder.hpp"
#include "torch/training_recipes.hpp"

namespace {

using dtask::errc;

struct outcome {
  std::string bytes;
  std::vector<dtask::epoch_report> epochs;
  std::optional<dtask::error> failed;
  std::string resumed_from;
  std::vector<std::string> skipped;
};
template <class Training>
dtask::task<> train_on(dtask::cluster* c, test::recipe r, dtask::training_options o, outcome* out,
                       std::int64_t stop_after) {
  std::optional<dtask::trainer<Training>> made;
  try {
    made.emplace(*c, std::move(r), std::move(o));
  } catch (const dtask::error& e) {
    out->failed = e;
    co_return;
  }
  dtask::trainer<Training>& t = *made;
  try {
    while (auto e = co_await t.next()) {
      out->epochs.push_back(std::move(*e));
      if (stop_after != 0 && out->epochs.back().number == stop_after) break;
    }
  } catch (const dtask::error& e) {
    out->failed = e;
  }
  out->resumed_from = t.resumed_from();
  out->skipped = t.skipped_checkpoints();
  out->bytes = test::bytes_of(*t.model());
}
template <class Training = test::train>
outcome run(std::string url, test::recipe r, dtask::training_options o, std::int64_t stop_after = 0,
            dtask::cluster_options place = {}) {
  outcome out;
  auto all = [](std::string where, test::recipe recipe, dtask::training_options options, outcome* to, std::int64_t stop,
                dtask::cluster_options cluster) -> dtask::task<> {
    dtask::cluster c = co_await dtask::cluster::connect<test::jobs>(where, std::move(cluster));
    auto training = train_on<Training>(&c, std::move(recipe), std::move(options), to, stop);
    co_await std::move(training);
    co_await c.close();
  };
  dtask::sync_wait(all(std::move(url), std::move(r), std::move(o), &out, stop_after, std::move(place)));
  return out;
}

}  // namespace

TEST_CASE("trainer: every strategy learns, and one seed gives the same bytes on 1, 2 and 4 slots") {
  for (const dtask::strategy& how : {dtask::sync(), dtask::sync(3), dtask::local_sgd(4), dtask::average(),
                                     dtask::diloco(5), dtask::local_sgd(4, dtask::optimizer_merge::reset)}) {
    CAPTURE(dtask::to_string(how));
    const dtask::training_options options{.strategy = how, .ranks = 2, .epochs = 4, .seed = 3};
    const outcome one = run("local://1", {}, options);
    REQUIRE_FALSE(one.failed);
    REQUIRE(one.epochs.size() == 4);
    const dtask::epoch_report& last = one.epochs.back();
    CHECK(last.number == 4);
    CHECK(last.loss < one.epochs.front().loss);
    CHECK(last.held_out.samples() == 90);
    CHECK(last.held_out.mean("right") > 0.6);
    CHECK(last.samples == 208);  // 13 steps of 16, the last filled up
    CHECK(last.padded == 8);
    CHECK(last.reproducible);
    CHECK(run("local://2", {}, options).bytes == one.bytes);
    CHECK(run("local://4", {}, options).bytes == one.bytes);
    dtask::training_options other = options;
    other.seed = 4;
    CHECK(run("local://2", {}, other).bytes != one.bytes);
  }
}

TEST_CASE(
    "trainer: in float64, sync on 1, 2 and 4 ranks at one global batch is a bare loop, to 1e-10 after 100 steps") {
  test::recipe r;
  r.doubles = true;
  r.count = 160;
  // 10 epochs of 10 steps of 16.
  torch::manual_seed(5);
  auto module = r.model();
  auto optimizer = r.optimizer(module->parameters());
  const dtask::tensor_dataset data = r.data(dtask::split::train);
  for (std::uint64_t epoch = 0; epoch < 10; ++epoch) {
    dtask::data_loader<dtask::tensor_dataset> loader(data, {.batch = 16, .seed = 5});
    loader.start_epoch(epoch);
    auto one_epoch = [](dtask::data_loader<dtask::tensor_dataset>* l, test::recipe* rec, test::two_layers* m,
                        torch::optim::Optimizer* o) -> dtask::task<> {
      while (auto b = co_await l->next()) {
        dtask::tally ignored;
        o->zero_grad();
        rec->loss(*m, *b, ignored).backward();
        o->step();
      }
    };
    dtask::sync_wait(one_epoch(&loader, &r, module.get(), optimizer.get()));
  }
  const std::string bare = test::bytes_of(*module);
  const auto* expected = reinterpret_cast<const double*>(bare.data());
  for (const std::int32_t ranks : {1, 2, 4}) {
    CAPTURE(ranks);
    test::recipe part = r;
    part.batch = 16 / ranks;
    const outcome got = run("local://2", part, {.ranks = ranks, .epochs = 10, .seed = 5});
    REQUIRE_FALSE(got.failed);
    REQUIRE(got.bytes.size() == bare.size());
    const auto* values = reinterpret_cast<const double*>(got.bytes.data());
    double worst = 0;
    for (std::size_t i = 0; i < bare.size() / sizeof(double); ++i)
      worst = std::max(worst, std::abs(values[i] - expected[i]));
    CHECK(worst < 1e-10);
  }
}

TEST_CASE("trainer: where operations are only enqueued, a part reads at its end, and the bytes are the same") {
  test::recipe r;
  r.norm = r.drop = true;
  for (const dtask::strategy& how :
       {dtask::sync(), dtask::local_sgd(4), dtask::diloco(5), dtask::local_sgd(4, dtask::optimizer_merge::reset)}) {
    CAPTURE(dtask::to_string(how));
    const dtask::training_options options{.strategy = how, .ranks = 2, .epochs = 3, .seed = 3, .clip_norm = 0.5};
    const outcome here = run("local://1", r, options), there = run<test::train_far>("local://1", r, options);
    REQUIRE_FALSE(here.failed);
    REQUIRE_FALSE(there.failed);
    CHECK(there.bytes == here.bytes);
    REQUIRE(there.epochs.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(there.epochs[i].loss == here.epochs[i].loss);
      CHECK(there.epochs[i].held_out_loss == here.epochs[i].held_out_loss);
      CHECK(there.epochs[i].held_out == here.epochs[i].held_out);
      CHECK(there.epochs[i].reproducible);
    }
  }
  test::recipe steep, explodes;
  steep.steep = explodes.explodes = true;
  const outcome bad_gradient = run<test::train_far>("local://1", steep, {.ranks = 1, .epochs = 1}),
                bad_loss = run<test::train_far>("local://1", explodes, {.ranks = 1, .epochs = 1});
  REQUIRE(bad_gradient.failed);
  CHECK(bad_gradient.failed->cause().find("the gradient of first.weight is not finite") != std::string::npos);
  REQUIRE(bad_loss.failed);
  CHECK(bad_loss.failed->cause().find("in batch 0 of the part") != std::string::npos);
}

TEST_CASE("trainer: a program that trains on the CPU alone refuses a worker of another device") {
  dtask::cluster_options place;
  place.worker.device = "cuda:0";
  const outcome got = run("local://1", {}, {.ranks = 1, .epochs = 1}, 0, std::move(place));
  REQUIRE(got.failed);
  CHECK(got.failed->cause().find("trains on the CPU alone") != std::string::npos);
}

TEST_CASE("trainer: local_sgd(1) with SGD is sync") {
  test::recipe r;
  r.doubles = true;
  r.momentum = 0;
  const outcome sync = run("local://2", r, {.ranks = 2, .epochs = 2, .seed = 1});
  const outcome local = run("local://2", r, {.strategy = dtask::local_sgd(1), .ranks = 2, .epochs = 2, .seed = 1});
  const auto* a = reinterpret_cast<const double*>(sync.bytes.data());
  const auto* b = reinterpret_cast<const double*>(local.bytes.data());
  REQUIRE(sync.bytes.size() == local.bytes.size());
  double worst = 0;
  for (std::size_t i = 0; i < sync.bytes.size() / sizeof(double); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  CHECK(worst < 1e-10);
}

TEST_CASE("trainer: buffers, Adam, schedules, clipping, bf16 and an average of the weights") {
  test::recipe r;
  r.norm = true;
  r.adam = true;
  for (const dtask::strategy& how : {dtask::sync(), dtask::local_sgd(3)}) {
    CAPTURE(dtask::to_string(how));
    dtask::training_options o{.strategy = how, .ranks = 2, .epochs = 3, .seed = 2};
    o.rate = {dtask::cosine_rate{.warm_up = 0.1}};
    o.clip_norm = 0.5;
    o.average_decay = 0.9;
    o.bf16 = true;
    const outcome got = run("local://2", r, o);
    REQUIRE_FALSE(got.failed);
    CHECK(got.epochs.back().rate < 0.1);
    CHECK(got.epochs.back().held_out.mean("right") > 0.4);
    CHECK(run("local://1", r, o).bytes == got.bytes);
    o.clip_norm = 0;
    CHECK(run("local://1", r, o).bytes != got.bytes);
  }
}

TEST_CASE("trainer: random layers in parts side by side are reported; alone they are reproducible") {
  test::recipe r;
  r.drop = true;
  const dtask::training_options o{.strategy = dtask::local_sgd(2), .ranks = 2, .epochs = 2, .seed = 2};
  const outcome one = run("local://1", r, o);
  CHECK(one.epochs.back().reproducible);
  CHECK(run("local://1", r, o).bytes == one.bytes);
  test::gate gate;
  test::gate::current() = &gate;
  r.meet = true;
  const outcome beside = run("local://2", r, o);
  REQUIRE_FALSE(beside.failed);
  CHECK_FALSE(beside.epochs.front().reproducible);
  CHECK(beside.epochs.front().why_not.front().find("spawn://") != std::string::npos);
  // Without random layers it does not matter.
  r.drop = false;
  test::gate other;
  test::gate::current() = &other;
  CHECK(run("local://2", r, o).epochs.back().reproducible);
}

TEST_CASE("trainer: errors name epoch, rank and worker, and the workers stay usable") {
  dtask::coordinator coordinator("127.0.0.1:0");
  dtask::worker_options few;
  few.slots = 2;
  few.name = "first";
  dtask::worker worker(coordinator.url(), test::jobs::entries(), few);
  const auto text = [](const outcome& o) { return o.failed ? std::string(o.failed->what()) : std::string(); };
  const dtask::training_options two{.ranks = 2, .epochs = 1};
  {
    test::recipe r;
    r.explodes = true;
    const outcome got = run(coordinator.url(), r, two);
    REQUIRE(got.failed);
    CHECK(text(got).find("the loss is inf") != std::string::npos);
    CHECK(text(got).find("epoch 1, round 1, rank ") != std::string::npos);  // 0 or 1: the first that ends counts
    CHECK(text(got).find(", worker ") != std::string::npos);
    CHECK(text(got).find("/first#") != std::string::npos);
  }
  {
    test::recipe r;
    r.misshapen = true;
    const outcome got = run(coordinator.url(), r, two);
    REQUIRE(got.failed);
    CHECK(text(got).find("LibTorch: mat1 and mat2 shapes cannot be multiplied (8x3 and 6x16)") != std::string::npos);
    CHECK(text(got).find("epoch 1, round 1, rank ") != std::string::npos);  // 0 or 1: the first that ends counts
    CHECK(text(got).find(", worker ") != std::string::npos);
    CHECK(text(got).find("frame #") == std::string::npos);
  }
  for (const dtask::strategy& how : {dtask::sync(), dtask::local_sgd(1)}) {
    CAPTURE(dtask::to_string(how));
    test::recipe r;
    r.steep = true;
    dtask::training_options o = two;
    o.strategy = how;
    const outcome got = run(coordinator.url(), r, o);
    REQUIRE(got.failed);
    CHECK(got.failed->code() == errc::job_failed);
    CHECK(text(got).find("first.weight is not finite") != std::string::npos);
    CHECK(text(got).find("epoch 1, round 1, rank ") != std::string::npos);  // 0 or 1: the first that ends counts
    CHECK(text(got).find(", worker ") != std::string::npos);
    // The state is still that of before.
    const auto* weights = reinterpret_cast<const float*>(got.bytes.data());
    CHECK(std::all_of(weights, weights + got.bytes.size() / sizeof(float), [](float w) { return std::isfinite(w); }));
  }
  {
    test::recipe r;
    r.count = 3;
    const outcome got = run(coordinator.url(), r, {.ranks = 4});
    REQUIRE(got.failed);
    CHECK(got.failed->code() == errc::invalid_argument);
    CHECK(text(got).find("3 samples") != std::string::npos);
  }
  {
    const outcome got = run(coordinator.url(), {}, {.ranks = 0});
    REQUIRE(got.failed);
    CHECK(text(got).find("0 ranks") != std::string::npos);
  }
  {
    dtask::training_options nowhere = two;
    nowhere.checkpoints = "/proc/no-such-folder";
    const outcome got = run(coordinator.url(), {}, nowhere);
    REQUIRE(got.failed);
    CHECK(got.failed->code() == errc::io_error);
    CHECK(text(got).find("/proc/no-such-folder") != std::string::npos);
  }
  const outcome good = run(coordinator.url(), {}, two);
  CHECK_FALSE(good.failed);
  CHECK(good.epochs.size() == 1);
}

TEST_CASE("trainer: a worker that may not hold the state says by which options") {
  dtask::coordinator coordinator("127.0.0.1:0");
  dtask::worker_options narrow;
  narrow.slots = 1;
  narrow.broadcast_bytes = 600;  // the plan has room, the state has not
  const dtask::worker worker(coordinator.url(), test::jobs::entries(), narrow);
  const outcome got = run(coordinator.url(), {}, {.epochs = 1});
  REQUIRE(got.failed);
  CHECK(std::string(got.failed->what()).find("raise the worker's --broadcast-bytes and --payload-bytes") !=
        std::string::npos);
}

TEST_CASE("trainer: bad samples are left out, counted and named, held-out ones too; one above the limit is an error") {
  test::recipe r;
  r.holes = true;
  dtask::training_options o{.ranks = 1, .epochs = 2, .seed = 3, .evaluation_batch = 16, .bad_samples = 5};
  for (const dtask::strategy& how : {dtask::sync(), dtask::local_sgd(4)}) {
    CAPTURE(dtask::to_string(how));
    o.strategy = how;
    const outcome got = run("local://1", r, o);
    REQUIRE_FALSE(got.failed);
    REQUIRE(got.epochs.size() == 2);
    for (const dtask::epoch_report& e : got.epochs) {
      CHECK(e.bad_samples == 8);  // 7, 47, 87, 127, 167; held out 7, 47, 87
      CHECK(e.samples == 195);
      CHECK(e.held_out.samples() == 87);
      CHECK(e.bad.size() == 8);
      for (const std::string what : {"sample 167: ", "held-out sample 87: "}) {
        CAPTURE(what);
        CHECK(std::any_of(e.bad.begin(), e.bad.end(), [&what](const std::string& bad) {
          return bad.starts_with(what) && bad.find("a hole") != std::string::npos;
        }));
      }
    }
    CHECK(run("local://2", r, o).bytes == got.bytes);
  }
  o.bad_samples = 4;
  const outcome over = run("local://1", r, o);
  REQUIRE(over.failed);
  CHECK(std::string(over.failed->what()).find("one more than the limit of 4") != std::string::npos);
  // A rank's part goes to the worker that has been idle longest, so here to one after the other; the limit is the
  // rank's.
  dtask::coordinator coordinator("127.0.0.1:0");
  dtask::worker_options one;
  one.slots = 1;
  const dtask::worker first(coordinator.url(), test::jobs::entries(), one);
  const dtask::worker second(coordinator.url(), test::jobs::entries(), one);
  o.strategy = dtask::sync();
  const outcome apart = run(coordinator.url(), r, o);
  REQUIRE(apart.failed);
  // The trainer says so, or the loader, where the second worker comes late.
  CHECK(std::string(apart.failed->what()).find("the limit of 4") != std::string::npos);
  o.bad_samples = 5;
  CHECK_FALSE(run(coordinator.url(), r, o).failed);
}

TEST_CASE("trainer: an epoch whose checkpoint cannot be written is not lost: the next call writes it and reports") {
  const dtask_test::temporary_folder folder;
  const std::string path = (folder.path() / "run").string();
  std::ofstream(path) << "in the way";
  auto all = [](std::string where) -> dtask::task<> {
    dtask::cluster c = co_await dtask::cluster::connect<test::jobs>("local://1");
    dtask::trainer<test::train> t(c, {}, {.epochs = 2, .seed = 1, .checkpoints = where});
    for (int i = 0; i < 2; ++i) {
      std::optional<dtask::error> failed;
      try {
        co_await t.next();
      } catch (const dtask::error& e) {
        failed = e;
      }
      REQUIRE(failed);
      CHECK(failed->code() == errc::io_error);
      CHECK(t.state().counters.epoch == 1);
    }
    std::filesystem::remove(where);
    const auto first = co_await t.next();
    REQUIRE(first);
    CHECK(first->number == 1);
    CHECK(first->samples == 200);
    CHECK(first->checkpoint != "");
    const auto second = co_await t.next();
    REQUIRE(second);
    CHECK(second->number == 2);
    const auto third = co_await t.next();
    CHECK_FALSE(third);
    co_await c.close();
  };
  dtask::sync_wait(all(path));
}

TEST_CASE("trainer: a training that was resumed has the bytes of one that never stopped") {
  for (const dtask::strategy& how : {dtask::sync(2), dtask::local_sgd(3), dtask::diloco(4)}) {
    CAPTURE(dtask::to_string(how));
    test::recipe r;
    r.adam = true;
    r.norm = true;
    dtask::training_options o{.strategy = how, .ranks = 2, .epochs = 5, .seed = 7};
    o.average_decay = 0.8;
    o.rate = {dtask::cosine_rate{}};
    const outcome whole = run("local://2", r, o);
    const dtask_test::temporary_folder folder;
    o.checkpoints = folder.path().string();
    o.checkpoint_rounds = 2;
    const outcome begun = run("local://2", r, o, 2);
    CHECK(begun.bytes != whole.bytes);
    CHECK(begun.epochs.back().checkpoint != "");
    o.resume = true;
    const outcome ended = run("local://1", r, o);
    REQUIRE_FALSE(ended.failed);
    CHECK(ended.resumed_from != "");
    CHECK(ended.epochs.front().number == 3);
    CHECK(ended.bytes == whole.bytes);
    // Nothing is left to do.
    const outcome again = run("local://1", r, o);
    CHECK(again.epochs.empty());
    CHECK(again.bytes == whole.bytes);
    // Another seed is another training.
    o.seed = 8;
    const outcome other = run("local://1", r, o);
    CHECK(other.resumed_from == "");
    REQUIRE_FALSE(other.skipped.empty());
    CHECK(other.skipped.front().find("seed 7") != std::string::npos);
  }
}

TEST_CASE("trainer: where the checkpoint cannot be read, the next call does not begin anew") {
  const dtask_test::temporary_folder folder;
  const std::string path = (folder.path() / "run").string(), away = (folder.path() / "away").string();
  dtask::training_options o{.ranks = 2, .epochs = 2, .seed = 7, .checkpoints = path};
  REQUIRE_FALSE(run("local://1", {}, o, 1).failed);
  std::filesystem::rename(path, away);
  std::ofstream(path) << "in the way";
  o.resume = true;
  auto all = [](dtask::training_options options, std::string from) -> dtask::task<> {
    dtask::cluster c = co_await dtask::cluster::connect<test::jobs>("local://1");
    dtask::trainer<test::train> t(c, {}, options);
    for (int i = 0; i < 2; ++i) {
      std::optional<dtask::error> failed;
      try {
        co_await t.next();
      } catch (const dtask::error& e) {
        failed = e;
      }
      REQUIRE(failed);
      CHECK(failed->code() == errc::io_error);
    }
    std::filesystem::remove(options.checkpoints);
    std::filesystem::rename(from, options.checkpoints);
    const auto e = co_await t.next();
    REQUIRE(e);
    CHECK(e->number == 2);
    CHECK(t.resumed_from() != "");
    co_await c.close();
  };
  dtask::sync_wait(all(o, away));
}

TEST_CASE("trainer: trainings that were left early, one after the other, leave no data in the worker") {
  auto all = []() -> dtask::task<> {
    dtask::cluster c = co_await dtask::cluster::connect<test::jobs>("local://2");
    test::recipe r;
    r.is_counted = true;
    for (int i = 0; i < 4; ++i) {
      dtask::trainer<test::train> t(c, r, {.ranks = 2, .epochs = 3, .seed = 7});
      const auto e = co_await t.next();
      REQUIRE(e);
    }
    CHECK(test::counted::alive().load() == 2);  // of the last: the next one lets them go
    co_await c.close();
  };
  dtask::sync_wait(all());
  CHECK(test::counted::alive().load() == 0);
}

TEST_CASE("trainer: a lost worker changes no bytes; with drop, the round goes on without its part") {
  test::recipe r;
  r.count = 300;
  const dtask::training_options o{.strategy = dtask::local_sgd(4), .ranks = 3, .epochs = 2, .seed = 1};
  const outcome undisturbed = run("local://1", r, o);
  REQUIRE_FALSE(undisturbed.failed);
  /// The same, with a worker that is stopped in the middle of a part, and another in its place.
  const auto disturbed = [&r](dtask::training_options options) {
    test::recipe held = r;
    held.hold_at = 6;
    test::gate gate;
    test::gate::current() = &gate;
    dtask::coordinator coordinator("127.0.0.1:0");
    dtask::worker_options one;
    one.slots = 1;
    std::optional<dtask::worker> first(std::in_place, coordinator.url(), test::jobs::entries(), one);
    outcome out;
    std::thread trains([&] { out = run(coordinator.url(), held, options); });
    gate.entered.get_future().wait();
    first->stop();
    dtask::worker second(coordinator.url(), test::jobs::entries(), one);
    gate.go_on.set_value();
    first.reset();
    trains.join();
    return out;
  };
  const outcome again = disturbed(o);
  REQUIRE_FALSE(again.failed);
  CHECK(again.bytes == undisturbed.bytes);
  CHECK(again.epochs.front().parts_again == 1);
  CHECK(again.epochs.back().reproducible);
  dtask::training_options drop = o;
  drop.on_loss = dtask::on_loss::drop;
  const outcome without = disturbed(drop);
  REQUIRE_FALSE(without.failed);
  CHECK(without.epochs.front().ranks_dropped == 1);
  CHECK_FALSE(without.epochs.back().reproducible);
  CHECK(without.epochs.back().why_not.front().find("left out") != std::string::npos);
  CHECK(without.epochs.back().held_out.samples() == 90);
  drop.min_ranks = 3;
  const outcome too_few = disturbed(drop);
  REQUIRE(too_few.failed);
  CHECK(too_few.failed->code() == errc::worker_lost);
  CHECK(std::string(too_few.failed->what()).find("min_ranks") != std::string::npos);
}
