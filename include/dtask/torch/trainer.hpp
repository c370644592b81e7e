// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"
#include "dtask/data/checkpoint_folder.hpp"
#include "dtask/data/fingerprint.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/torch/checkpoint.hpp"
#include "dtask/torch/detail/running_epoch.hpp"
#include "dtask/torch/detail/trained_model.hpp"
#include "dtask/torch/detail/training_course.hpp"
#include "dtask/torch/detail/training_crew.hpp"
#include "dtask/torch/epoch_report.hpp"
#include "dtask/torch/training.hpp"
#include "dtask/torch/training_options.hpp"

DTASK_BEGIN

// clang-format off
/// Trains one model on the workers of a cluster, round by round.
///
/// ```
/// dtask::trainer<train> t(c, fashion{.folder = "data"},
///                         {.strategy = dtask::local_sgd(16), .ranks = 2, .epochs = 5, .seed = 1});
/// while (auto e = co_await t.next()) std::printf("epoch %d: loss %.3f\n", int(e->number), e->loss);
/// dtask::save_model("fashion.safetensors", *t.model());
/// ```
///
/// A round is `ranks` parts, each a pure job of (recipe, state, round, rank). The state (weights, buffers, optimizer)
/// lives here and travels by broadcast. Any number of workers serves any number of ranks; a part that is lost with its
/// worker is done again elsewhere. So the bytes of the result depend on recipe, options and seed alone: not on how many
/// workers there are, where they run, or what happened to them; for one `threads`, one kind of CPU and one LibTorch.
/// Where that does not hold, `epoch_report::reproducible` says so.
///
/// The cluster outlives it. One task at a time uses it. Not moved. Between calls of `next` nothing runs.
// clang-format on
template <class Training>
class trainer {
  using recipe_type = typename Training::recipe_type;
  using plan_type = detail::training_plan<recipe_type>;

 public:
  /// What the recipe's `model()` makes.
  using module_type = detail::recipe_module<recipe_type>;

  /// Makes the model, with the first weights of the seed, and its optimizer. `c`: knows `Training`. Throws `error`:
  /// `invalid_argument` for options that contradict themselves, a model that cannot be trained (see `flat_model`), an
  /// optimizer that is not known.
  trainer(cluster& c, recipe_type recipe, training_options options = {})
      : options_(checked(std::move(options))),
        plan_(plan_of(std::move(recipe), options_)),
        model_(plan_, options_.average_decay),
        course_(options_),
        crew_(c, options_, course_) {}
  /// Where it goes before its last epoch, the workers forget what was broadcast, as they do after the last.
  ~trainer() = default;
  trainer(const trainer&) = delete;
  trainer& operator=(const trainer&) = delete;

  /// Asks the workers about their data, and with `options.resume` goes on from the newest whole checkpoint of the same
  /// recipe, options and data, if there is one. `next` does so first where nobody has; afterwards it does nothing.
  /// Blocks while it reads. Throws as `next` does.
  task<> prepare() { return begin(this); }
  /// Trains one epoch, evaluates it on the held-out data and writes a checkpoint; nothing after the last epoch.
  ///
  /// Throws `error` that names epoch, rank and worker: `job_failed` for what a part throws (a loss or gradient that is
  /// not finite, a broken dataset or folder, a model or LibTorch other than the trainer's), `bad_data` for more bad
  /// samples of a rank than the options allow (`job_failed` where one part met them all), `invalid_argument` for
  /// fewer samples than ranks and for a worker with another dataset, `too_large` for a state above a limit,
  /// `no_worker`, `worker_lost` (with `on_loss::drop`, fewer than `min_ranks` parts are left), `io_error` for a
  /// checkpoint that cannot be written. The workers stay usable, and another `next()` begins at the last round that was
  /// whole, or writes the checkpoint and gives the epoch's report. Under stop it throws `error(cancelled)`; the parts
  /// are stopped, and nothing of that round counts.
  task<std::optional<epoch_report>> next() { return next_epoch(this); }

  /// The model with the weights of now; with `average_decay`, still the last ones. It is the trainer's own: read it
  /// between calls of `next`.
  std::shared_ptr<module_type> model() { return model_.module(); }
  /// The same with the moving average of the weights; without `average_decay` as `model()`.
  std::shared_ptr<module_type> averaged_model() { return model_.averaged_module(); }
  /// Where the training stands: weights, buffers, optimizer, counters.
  training_state state() { return model_.current(); }
  const training_options& options() const noexcept { return options_; }  ///< as they were given
  const recipe_type& recipe() const noexcept { return plan_.recipe; }    ///< as it was given
  /// Steps of a whole epoch; 0 before the first `next`.
  std::int64_t steps_per_epoch() const noexcept { return course_.steps_per_epoch(); }
  /// The checkpoint from which it went on; empty: it began anew.
  const std::string& resumed_from() const noexcept { return resumed_from_; }
  /// Which newer ones were not taken: "path: reason" of each.
  const std::vector<std::string>& skipped_checkpoints() const noexcept { return skipped_; }

 private:
  using clock = std::chrono::steady_clock;
  using ended_parts = std::vector<detail::ended_part>;

  static double since(clock::time_point begin) { return std::chrono::duration<double>(clock::now() - begin).count(); }
  static training_options checked(training_options o) {
    check_training_options(o);
    return o;
  }
  static plan_type plan_of(recipe_type recipe, const training_options& o) {
    if (recipe.batch < 1)
      throw error(errc::invalid_argument, "a batch of " + std::to_string(recipe.batch) + " samples", "recipe",
                  "batch is at least 1");
    return {std::move(recipe),
            o.strategy,
            o.ranks,
            o.seed,
            static_cast<std::uint8_t>(o.rest),
            o.rate,
            o.clip_norm,
            o.bf16,
            o.threads,
            o.evaluation_batch,
            o.bad_samples};
  }

  static task<> begin(trainer* self) {
    if (self->begun_) co_return;
    auto telling = self->crew_.tell_plan(encode(self->plan_));
    co_await std::move(telling);
    // As many as there are ranks, so that all workers read their data at once.
    const detail::part_order what = self->order(detail::part_kind::survey, 0);
    auto asking = all_parts(self, what, 0);
    const ended_parts found = co_await std::move(asking);
    self->course_.plan(found.front().answer, found.front().worker, self->plan_.recipe.batch);
    for (const detail::ended_part& p : found) self->course_.require_same_data(what, p.rank, p.answer, p.worker);
    if (self->options_.resume) self->resume();
    self->begun_ = true;
  }

  static task<std::optional<epoch_report>> next_epoch(trainer* self) {
    auto beginning = begin(self);
    co_await std::move(beginning);
    if (self->finished_) co_return self->hand_out();
    if (self->model_.counters().epoch >= self->options_.epochs) {
      auto leaving = self->crew_.leave();
      co_await std::move(leaving);
      co_return std::nullopt;
    }
    while (!self->course_.epoch_is_over()) {
      auto working = one_round(self);
      co_await std::move(working);
      if (self->options_.checkpoint_rounds != 0 &&
          self->model_.counters().round % self->options_.checkpoint_rounds == 0 && !self->course_.epoch_is_over())
        self->write_checkpoint();
    }
    auto judging = evaluate(self);
    co_await std::move(judging);
    self->model_.end_epoch();
    self->course_.begin_epoch();
    self->finished_ = self->epoch_.end(self->model_.counters().epoch, self->course_.padded(), self->course_.left_out());
    co_return self->hand_out();
  }
  /// Where the checkpoint cannot be written, the next call tries again.
  epoch_report hand_out() {
    finished_->checkpoint = write_checkpoint();
    return *std::exchange(finished_, std::nullopt);
  }
  static task<> one_round(trainer* self) {
    const auto begin = clock::now();
    const std::uint64_t batches = self->course_.round_batches();
    auto working = with_state(self, detail::part_kind::train, static_cast<std::int64_t>(batches));
    ended_parts parts = co_await std::move(working);
    self->epoch_.trained(parts);
    const double rate = self->model_.take(std::move(parts), self->course_.total_steps());
    self->course_.go_on(batches);
    self->epoch_.round_is_done(rate, since(begin));
  }
  static task<> evaluate(trainer* self) {
    const auto begin = clock::now();
    auto working = with_state(self, detail::part_kind::evaluate, 0);
    const ended_parts parts = co_await std::move(working);
    self->epoch_.evaluated(parts, since(begin));
  }

  detail::part_order order(detail::part_kind kind, std::int64_t batches) const {
    detail::part_order o;
    o.run = crew_.run();
    o.kind = kind;
    o.epoch = model_.counters().epoch;
    o.round = model_.counters().round;
    o.position = course_.position();
    o.batches = batches;
    o.step = model_.counters().steps;
    o.total_steps = course_.total_steps();
    return o;
  }
  /// Sends the state and has the parts of all ranks done.
  static task<ended_parts> with_state(trainer* self, detail::part_kind kind, std::int64_t batches) {
    bytes state = self->model_.packed(kind);
    const std::uint64_t size = state.size();
    // The parts are handed over while the state is still on its way: jobs see what was broadcast before them.
    auto telling = self->crew_.tell_state(std::move(state));
    auto working = all_parts(self, self->order(kind, batches), size);
    auto both = when_all(std::move(telling), std::move(working));
    auto ends = co_await std::move(both);
    co_return std::get<1>(std::move(ends));
  }
  /// Gives those that have ended well, in rank order. `sent`: bytes of what each worker received for them.
  static task<ended_parts> all_parts(trainer* self, detail::part_order what, std::uint64_t sent) {
    auto working = self->crew_.work(what);
    auto ends = co_await std::move(working);
    self->epoch_.ended(ends, sent);
    ended_parts parts = self->crew_.well_ended(what, std::move(ends));
    for (detail::ended_part& p : parts) self->epoch_.count_bad(what, p, self->options_.bad_samples);
    co_return parts;
  }

  checkpoint_folder folder() const {
    return checkpoint_folder(options_.checkpoints, static_cast<std::size_t>(options_.keep));
  }
  /// What a checkpoint must have been made with: recipe, options and data. The number of epochs belongs to it where the
  /// learning rate depends on how many there are.
  std::string origin() const {
    const payload plan = encode(plan_);
    content_fingerprint print;
    print.add(plan.body.span());
    for (const bytes& b : plan.blobs) print.add(b.span());
    bool scheduled = !std::holds_alternative<constant_rate>(options_.rate.schedule);
    if constexpr (requires { plan_.recipe.rate(0.5); }) scheduled = true;
    return std::string(Training::name) + ", " + to_string(options_.strategy) + ", " + std::to_string(options_.ranks) +
           " ranks, seed " + std::to_string(options_.seed) +
           (scheduled ? ", " + std::to_string(options_.epochs) + " epochs" : std::string()) + ", average " +
           number_text(options_.average_decay) + ", plan " + std::to_string(print.value()) + ", data " +
           std::to_string(course_.train_fingerprint());
  }
  std::string write_checkpoint() {
    if (options_.checkpoints.empty()) return {};
    dtask::checkpoint out;
    model_.save(out);
    out.recipe = origin();
    out.seed = options_.seed;
    out.progress = std::min(1.0, static_cast<double>(model_.counters().steps) /
                                     static_cast<double>(std::max<std::int64_t>(1, course_.total_steps())));
    return dtask::write_checkpoint(folder(), out);
  }
  void resume() {
    skipped_.clear();
    dtask::resumed search = read_newest_checkpoint(folder(), model_.flat(), origin());
    for (const checkpoint_folder::skipped& each : search.passed) skipped_.push_back(each.path + ": " + each.why);
    if (!search.found) return;
    model_.restore(std::move(*search.found));
    course_.go_to(model_.counters());
    resumed_from_ = search.path;
  }

  const training_options options_;
  const plan_type plan_;
  detail::trained_model<recipe_type> model_;
  detail::training_course course_;
  detail::training_crew<Training> crew_;
  detail::running_epoch epoch_;
  std::optional<epoch_report> finished_;  ///< its checkpoint is not written yet
  bool begun_ = false;
  std::string resumed_from_;
  std::vector<std::string> skipped_;
};

DTASK_END
