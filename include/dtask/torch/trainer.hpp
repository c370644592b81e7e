// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/data/checkpoint_folder.hpp"
#include "dtask/data/fingerprint.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/task/when_all.hpp"
#include "dtask/torch/aggregate.hpp"
#include "dtask/torch/checkpoint.hpp"
#include "dtask/torch/epoch_report.hpp"
#include "dtask/torch/gradient_norm.hpp"
#include "dtask/torch/training.hpp"
#include "dtask/torch/training_options.hpp"
#include "dtask/torch/weight_average.hpp"

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
  using replica_type = detail::replica<recipe_type>;
  using plan_type = detail::training_plan<recipe_type>;

 public:
  /// What the recipe's `model()` makes.
  using module_type = detail::recipe_module<recipe_type>;

  /// Makes the model, with the first weights of the seed, and its optimizer. `c`: knows `Training`. Throws `error`:
  /// `invalid_argument` for options that contradict themselves, a model that cannot be trained (see `flat_model`), an
  /// optimizer that is not known.
  trainer(cluster& c, recipe_type recipe, training_options options = {})
      : cluster_(c), options_(std::move(options)), plan_(plan_of(std::move(recipe), options_)) {
    check_training_options(options_);
    if (plan_.recipe.batch < 1)
      throw error(errc::invalid_argument, "a batch of " + std::to_string(plan_.recipe.batch) + " samples", "recipe",
                  "batch is at least 1");
    at::set_num_threads(options_.threads);
    detail::random_use::seed_cpu(options_.seed);
    replica_ = std::make_unique<replica_type>(plan_.recipe);
    static_cast<void>(save_optimizer(*replica_->optimizer, replica_->model));  // throws for one that is not known
    replica_->model.save(state_);
    if (options_.average_decay > 0) average_.emplace(options_.average_decay);
    static std::atomic<std::uint64_t> number{0};
    run_ = std::string(Training::name) + "#" + std::to_string(++number);
  }
  /// Where it goes before its last epoch, the workers forget what was broadcast, as they do after the last.
  ~trainer() {
    if (!told_ || left_) return;
    try {
      // Handed over at the call.
      static_cast<void>(cluster_.withdraw(run_ + "/state"));
      static_cast<void>(cluster_.withdraw(run_ + "/plan"));
    } catch (...) {
      // Without memory for that it stays until the session ends.
    }
  }
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
  std::shared_ptr<module_type> model() {
    show_weights();
    return replica_->module;
  }
  /// The same with the moving average of the weights; without `average_decay` as `model()`.
  std::shared_ptr<module_type> averaged_model() {
    std::shared_ptr<replica_type> averaged;
    detail::random_use::apart([&] { averaged = std::make_shared<replica_type>(plan_.recipe); });
    training_state state = current();
    if (average_ && !average_->segments().empty()) state.parameters.segments = average_->segments();
    averaged->model.load(state);
    averaged->module->eval();
    return std::shared_ptr<module_type>(averaged, averaged->module.get());
  }
  /// Where the training stands: weights, buffers, optimizer, counters.
  training_state state() { return current(); }
  const training_options& options() const noexcept { return options_; }  ///< as they were given
  const recipe_type& recipe() const noexcept { return plan_.recipe; }    ///< as it was given
  /// Steps of a whole epoch; 0 before the first `next`.
  std::int64_t steps_per_epoch() const noexcept { return steps_per_epoch_; }
  /// The checkpoint from which it went on; empty: it began anew.
  const std::string& resumed_from() const noexcept { return resumed_from_; }
  /// Which newer ones were not taken: "path: reason" of each.
  const std::vector<std::string>& skipped_checkpoints() const noexcept { return skipped_; }

 private:
  using clock = std::chrono::steady_clock;
  static double since(clock::time_point begin) { return std::chrono::duration<double>(clock::now() - begin).count(); }
  bool is_local() const noexcept { return options_.strategy.is_local(); }

  static plan_type plan_of(recipe_type recipe, const training_options& o) {
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
  /// Whether a lost part of this kind is gone without: evaluation is of every sample.
  bool drops(detail::part_kind kind) const noexcept {
    return options_.on_loss == on_loss::drop && kind == detail::part_kind::train;
  }
  caller calls(detail::part_kind kind) const {
    call_options how;
    how.deadline = kind == detail::part_kind::train ? options_.round_within : no_deadline;
    how.no_worker_after = options_.no_worker_after;
    how.retries = drops(kind) ? 0 : 1000;
    how.backoff = std::chrono::milliseconds(20);
    how.max_backoff = std::chrono::seconds(1);
    return cluster_.with(how);
  }
  detail::part_order order(detail::part_kind kind, std::int32_t rank) const {
    detail::part_order o;
    o.run = run_;
    o.kind = kind;
    o.rank = rank;
    o.epoch = state_.counters.epoch;
    o.round = state_.counters.round;
    o.position = position_;
    o.step = state_.counters.steps;
    o.total_steps = steps_per_epoch_ * options_.epochs;
    return o;
  }
  std::string place(std::int32_t rank, const std::string& worker) const {
    return "epoch " + std::to_string(state_.counters.epoch + 1) + ", round " +
           std::to_string(state_.counters.round + 1) + ", rank " + std::to_string(rank) +
           (worker.empty() ? std::string() : ", worker " + worker);
  }
  [[noreturn]] void fail(std::int32_t rank, const remote_error& why) const {
    const bool plain = why.type().empty() || why.type() == "dtask::error";
    throw error(why.code(), plain ? why.message() : why.message() + " (" + why.type() + ")", place(rank, why.worker()),
                why.remedy());
  }

  // ---- the beginning ----

  static task<> begin(trainer* self) {
    if (self->begun_ || self->left_) co_return;
    const payload encoded = encode(self->plan_);
    self->told_ = true;
    auto sending = self->cluster_.broadcast(self->run_ + "/plan", detail::pack(encoded));
    co_await std::move(sending);
    // As many as there are ranks, so that all workers read their data at once.
    auto asking = all_parts(self, detail::part_kind::survey, 0);
    const ended_parts found = co_await std::move(asking);
    self->surveyed(found.front().answer, found.front().worker);
    for (const ended_part& p : found) self->require_same_data(detail::part_kind::survey, p.rank, p.answer, p.worker);
    if (self->options_.resume) self->resume();
    self->begun_ = true;
  }
  void surveyed(const detail::part_answer& found, const std::string& worker) {
    batch_plan_options o;
    o.samples = found.train_size;
    o.batch = static_cast<std::uint64_t>(plan_.recipe.batch);
    o.ranks = static_cast<std::uint64_t>(options_.ranks);
    o.seed = options_.seed;
    o.rest = options_.rest;
    if (found.train_size < o.ranks || found.test_size == 0)
      throw error(errc::invalid_argument,
                  std::to_string(found.train_size) + " samples to train on and " + std::to_string(found.test_size) +
                      " held out, for " + std::to_string(o.ranks) + " ranks",
                  worker, "every rank needs samples: check the recipe's data, or use fewer ranks");
    batches_.emplace(o);
    fingerprint_ = found.train_fingerprint;
    test_fingerprint_ = found.test_fingerprint;
    steps_per_epoch_ = static_cast<std::int64_t>(steps_of(batches_->steps()));
  }
  /// Optimizer steps in so many batches of each rank.
  std::uint64_t steps_of(std::uint64_t batches) const noexcept {
    if (is_local()) return batches;
    const auto each = static_cast<std::uint64_t>(options_.strategy.batches);
    return (batches + each - 1) / each;
  }

  // ---- an epoch ----

  static task<std::optional<epoch_report>> next_epoch(trainer* self) {
    auto beginning = begin(self);
    co_await std::move(beginning);
    if (self->finished_) co_return self->hand_out();
    if (self->state_.counters.epoch >= self->options_.epochs) {
      auto leaving = leave(self);
      co_await std::move(leaving);
      co_return std::nullopt;
    }
    const batch_plan& batches = *self->batches_;
    while (batches.steps(self->position_) != 0) {
      auto working = one_round(self);
      co_await std::move(working);
      if (self->options_.checkpoint_rounds != 0 &&
          self->state_.counters.round % self->options_.checkpoint_rounds == 0 && batches.steps(self->position_) != 0)
        self->write_checkpoint();
    }
    auto judging = evaluate(self);
    co_await std::move(judging);
    co_return self->finish_epoch();
  }
  epoch_report finish_epoch() {
    ++state_.counters.epoch;
    position_ = 0;
    epoch_.number = state_.counters.epoch;
    epoch_.loss = epoch_.samples == 0 ? 0 : loss_ / static_cast<double>(epoch_.samples);
    epoch_.padded = batches_->padded();
    epoch_.left_out = batches_->dropped();
    if (processors_.size() > 1)
      note("workers have different CPUs (" + *processors_.begin() + "; " + *std::next(processors_.begin()) +
           "), which may round differently");
    finished_ = std::exchange(epoch_, {});
    loss_ = 0;
    bad_.clear();
    // What is true of one epoch is true of those that come from it.
    epoch_.why_not = finished_->why_not;
    epoch_.reproducible = finished_->reproducible;
    return hand_out();
  }
  /// Where the checkpoint cannot be written, the next call tries again.
  epoch_report hand_out() {
    finished_->checkpoint = write_checkpoint();
    return *std::exchange(finished_, std::nullopt);
  }
  void note(std::string why) {
    epoch_.reproducible = false;
    if (std::find(epoch_.why_not.begin(), epoch_.why_not.end(), why) == epoch_.why_not.end())
      epoch_.why_not.push_back(std::move(why));
  }
  /// The broadcasts are not needed any more.
  static task<> leave(trainer* self) {
    if (!self->begun_ || std::exchange(self->left_, true)) co_return;
    auto first = self->cluster_.withdraw(self->run_ + "/state");
    co_await std::move(first);
    auto second = self->cluster_.withdraw(self->run_ + "/plan");
    co_await std::move(second);
  }

  // ---- a round ----

  struct ended_part {
    std::int32_t rank = 0;
    std::string worker;
    detail::part_answer answer;
  };
  using ended_parts = std::vector<ended_part>;

  /// The state as parts need it: for a step of `sync`, and for evaluation, without the optimizer.
  bytes packed_state(bool for_evaluation) {
    training_state sent = state_;
    if (!is_local()) sent.parameters = replica_->model.parameters();
    if (for_evaluation || !is_local()) sent.optimizer = {};
    if (for_evaluation && average_ && !average_->segments().empty()) sent.parameters.segments = average_->segments();
    return detail::pack(encode(std::move(sent)));
  }

  static task<> one_round(trainer* self) {
    const auto begin = clock::now();
    const batch_plan& batches = *self->batches_;
    const std::uint64_t left = batches.steps(self->position_);
    const std::uint64_t wanted = self->options_.strategy.batches == 0
                                     ? left
                                     : std::min(left, static_cast<std::uint64_t>(self->options_.strategy.batches));
    bytes state = self->packed_state(false);
    self->sent_bytes_ = state.size();
    // The parts are handed over while the state is still on its way: jobs see what was broadcast before them.
    auto sending = self->cluster_.broadcast(self->run_ + "/state", std::move(state));
    auto working = all_parts(self, detail::part_kind::train, static_cast<std::int64_t>(wanted));
    auto both = when_all(std::move(sending), std::move(working));
    auto ends = co_await std::move(both);
    self->take(std::get<1>(std::move(ends)));
    for (std::uint64_t i = 0; i < wanted; ++i) self->position_ = batches.after(self->position_);
    self->epoch_.seconds += since(begin);
  }

  using part_end = outcome<detail::part_answer>;

  /// Waits for one part. Throws where the training cannot go on without it.
  static task<part_end> one_part(trainer* self, detail::part_kind kind, detail::part_order what,
                                 job_handle<detail::part_answer> handle) {
    auto ending = handle.outcome();
    part_end end = co_await std::move(ending);
    // With `drop` a job has no retries, but only a worker is to be gone without: the part is handed over again.
    for (int tries = 0; !end && tries < 100 && self->coordinator_was_lost(kind, end.error().code()); ++tries) {
      auto again = self->calls(kind).template try_call<Training>(what);
      end = co_await std::move(again);
    }
    if (!end && !self->may_drop(kind, end.error().code())) self->fail(what.rank, end.error());
    // Of a survey, the first says what the others must have.
    if (end && kind != detail::part_kind::survey) self->require_same_data(kind, what.rank, *end, end.worker());
    {
      const std::lock_guard hold(self->ended_guard_);
      self->ended_.push_back(what.rank);
    }
    co_return end;
  }
  /// Runs the part of every rank, and gives those that have ended well, in rank order. Where one cannot be gone
  /// without, the others are stopped at once.
  static task<ended_parts> all_parts(trainer* self, detail::part_kind kind, std::int64_t batches) {
    const caller calls = self->calls(kind);
    // In the order in which the parts of the last round ended: the worker that has been idle longest gets the next
    // part, so each rank comes back to the worker that has loaded ahead for it, if there are as many of both.
    std::vector<std::int32_t> turns = std::exchange(self->ended_, {});
    for (std::int32_t rank = 0; rank < self->options_.ranks; ++rank)
      if (std::find(turns.begin(), turns.end(), rank) == turns.end()) turns.push_back(rank);
    std::vector<std::optional<task<part_end>>> in_rank_order(turns.size());
    for (const std::int32_t rank : turns) {
      detail::part_order what = self->order(kind, rank);
      what.batches = batches;
      auto handing = calls.template submit<Training>(what);
      job_handle<detail::part_answer> handle = co_await std::move(handing);
      in_rank_order[static_cast<std::size_t>(rank)].emplace(one_part(self, kind, std::move(what), std::move(handle)));
    }
    std::vector<task<part_end>> waiting;
    for (std::optional<task<part_end>>& each : in_rank_order) waiting.push_back(std::move(*each));
    auto all = when_all(std::move(waiting));
    std::vector<part_end> ends = co_await std::move(all);

    ended_parts parts;
    std::set<std::string> workers;
    std::optional<error> lost;
    for (std::int32_t rank = 0; rank < self->options_.ranks; ++rank) {
      part_end& end = ends[static_cast<std::size_t>(rank)];
      if (!end) {
        ++self->epoch_.ranks_dropped;
        self->note("parts of lost workers were left out");
        lost.emplace(end.error());
        continue;
      }
      self->epoch_.parts_again += end.attempts() > 1 ? end.attempts() - 1 : 0;
      workers.insert(end.worker());
      self->processors_.insert(end->processor);
      if (end->random_disturbed)
        self->note(
            "random layers of parts that ran side by side in one process drew from one generator; workers with "
            "one slot each (spawn://) do not");
      parts.push_back({rank, end.worker(), std::move(*end)});
    }
    self->epoch_.bytes += self->sent_bytes_ * std::max<std::size_t>(workers.size(), 1);
    if (parts.size() < static_cast<std::size_t>(self->options_.min_ranks))
      throw error(errc::worker_lost,
                  std::to_string(parts.size()) + " of " + std::to_string(self->options_.ranks) +
                      " parts are left, fewer than min_ranks (" + std::to_string(self->options_.min_ranks) +
                      "); last: " + lost->cause(),
                  self->place(0, {}), "start workers, or lower min_ranks");
    for (ended_part& p : parts) self->note_bad_samples(kind, p);
    co_return parts;
  }
  bool coordinator_was_lost(detail::part_kind kind, errc why) const noexcept {
    return drops(kind) && (why == errc::coordinator_lost || why == errc::session_lost);
  }
  void require_same_data(detail::part_kind kind, std::int32_t rank, const detail::part_answer& answer,
                         const std::string& worker) const {
    const bool train = kind != detail::part_kind::evaluate && answer.train_fingerprint != fingerprint_;
    const bool test = kind != detail::part_kind::train && answer.test_fingerprint != test_fingerprint_;
    if (train || test)
      throw error(errc::invalid_argument,
                  std::string("the worker's ") + (train ? "training" : "held-out") + " data is not that of the others",
                  place(rank, worker), "give all workers the same files");
  }
  bool may_drop(detail::part_kind kind, errc why) const noexcept {
    return drops(kind) &&
           (why == errc::worker_lost || (why == errc::deadline_exceeded && options_.round_within != no_deadline) ||
            why == errc::job_abandoned);
  }

  static std::uint64_t bytes_of(const std::vector<at::Tensor>& all) {
    std::uint64_t n = 0;
    for (const at::Tensor& t : all) n += t.nbytes();
    return n;
  }
  /// The limit is counted here, and not only by the loader, which begins anew where a rank changes its worker.
  void note_bad_samples(detail::part_kind kind, ended_part& part) {
    detail::part_answer& from = part.answer;
    std::uint64_t& of_rank = bad_[{kind, part.rank}];
    of_rank += from.bad_samples;
    if (of_rank > options_.bad_samples)
      throw error(errc::bad_data,
                  std::to_string(of_rank) +
                      " samples of this rank could not be used in this epoch, more than the limit of " +
                      std::to_string(options_.bad_samples) + "; last: " + (from.bad.empty() ? "-" : from.bad.back()),
                  place(part.rank, part.worker), "repair the data, or raise bad_samples");
    epoch_.bad_samples += from.bad_samples;
    for (std::string& bad : from.bad)
      if (epoch_.bad.size() < 20 && std::find(epoch_.bad.begin(), epoch_.bad.end(), bad) == epoch_.bad.end())
        epoch_.bad.push_back(std::move(bad));
  }
  /// Makes the next state of what the ranks did.
  void take(ended_parts parts) {
    const at::NoGradGuard no_gradients;
    std::int64_t samples = 0;
    for (ended_part& p : parts) {
      samples += p.answer.samples;
      loss_ += p.answer.loss;
      epoch_.trained.merge(p.answer.counted);
      epoch_.stall_seconds += p.answer.stall_seconds;
      epoch_.bytes += bytes_of(p.answer.gradients) + bytes_of(p.answer.state.parameters.segments) +
                      bytes_of(p.answer.state.buffers.segments);
      for (const optimizer_slot& s : p.answer.state.optimizer.slots) epoch_.bytes += bytes_of(s.segments);
    }
    epoch_.samples += samples;
    ++epoch_.rounds;
    if (is_local())
      take_states(std::move(parts));
    else
      take_gradients(std::move(parts));
    if (average_) average_->update(current_parameters());
  }
  void take_states(ended_parts parts) {
    std::vector<state_part> states;
    for (ended_part& p : parts) {
      epoch_.rate = p.answer.rate;
      states.push_back({p.rank, p.answer.samples, std::move(p.answer.state)});
    }
    state_ = options_.strategy.how == strategy::way::diloco
                 ? dtask::diloco(state_, states, outer_, options_.strategy.outer, options_.strategy.merge)
                 : dtask::average(state_, states, options_.strategy.merge);
    shown_ = false;
  }
  void take_gradients(ended_parts parts) {
    std::vector<gradient_part> gradients;
    std::vector<state_part> states;
    for (ended_part& p : parts) {
      gradients.push_back({p.rank, p.answer.samples, std::move(p.answer.gradients)});
      states.push_back({p.rank, p.answer.samples, std::move(p.answer.state)});
    }
    replica_type& r = *replica_;
    r.model.set_gradients(mean_gradients(gradients));
    if (options_.clip_norm > 0) clip_gradient_norm(r.model.gradients(), options_.clip_norm);
    epoch_.rate = detail::rate_of(plan_.recipe, plan_.rate, state_.counters.steps, steps_per_epoch_ * options_.epochs);
    r.rates.set(epoch_.rate);
    r.optimizer->step();
    take_buffers(states);
    for (const gradient_part& g : gradients) state_.counters.samples += g.samples;
    ++state_.counters.steps;
    ++state_.counters.round;
  }
  /// Of the buffers, floating ones are averaged by samples; others are those of the lowest rank.
  void take_buffers(const std::vector<state_part>& parts) {
    if (state_.buffers.segments.empty()) return;
    const std::vector<const state_part*> counted = detail::parts_that_count(parts);
    std::vector<double> share;
    double samples = 0;
    for (const state_part* part : counted) {
      require_same_layout(state_.buffers.layout, part->state.buffers.layout, "what a rank returned",
                          detail::rank_place(*part));
      samples += static_cast<double>(part->samples);
      share.push_back(static_cast<double>(part->samples) / samples);
    }
    const auto buffers = [](const state_part& p) -> const std::vector<at::Tensor>& { return p.state.buffers.segments; };
    state_.buffers.segments = detail::average_all(counted, share, buffers);
  }
  /// With `sync` parameters and optimizer live in the replica, else in the state.
  training_state current() {
    if (is_local()) return state_;
    training_state now = state_;
    now.parameters = replica_->model.parameters();
    now.optimizer = save_optimizer(*replica_->optimizer, replica_->model);
    return now;
  }
  const std::vector<at::Tensor>& current_parameters() const {
    return is_local() ? state_.parameters.segments : replica_->model.parameters().segments;
  }
  void show_weights() {
    if (is_local() && shown_) return;
    training_state now = current();
    if (!is_local()) {
      // Its parameters are the replica's own memory.
      now.parameters.segments.clear();
      for (const at::Tensor& s : replica_->model.parameters().segments) now.parameters.segments.push_back(s.clone());
    }
    replica_->model.load(now);
    replica_->module->eval();
    shown_ = true;
  }

  // ---- evaluation ----

  static task<> evaluate(trainer* self) {
    const auto begin = clock::now();
    bytes state = self->packed_state(true);
    self->sent_bytes_ = state.size();
    auto sending = self->cluster_.broadcast(self->run_ + "/state", std::move(state));
    auto working = all_parts(self, detail::part_kind::evaluate, 0);
    auto both = when_all(std::move(sending), std::move(working));
    auto ends = co_await std::move(both);
    double loss = 0;
    for (const ended_part& p : std::get<1>(ends)) {
      loss += p.answer.loss;
      self->epoch_.held_out.merge(p.answer.counted);
    }
    const std::int64_t samples = self->epoch_.held_out.samples();
    self->epoch_.held_out_loss = samples == 0 ? 0 : loss / static_cast<double>(samples);
    self->epoch_.evaluation_seconds = since(begin);
  }

  // ---- checkpoints ----

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
           std::to_string(fingerprint_);
  }
  std::string write_checkpoint() {
    if (options_.checkpoints.empty()) return {};
    dtask::checkpoint out;
    out.state = current();
    out.recipe = origin();
    out.seed = options_.seed;
    out.progress =
        std::min(1.0, static_cast<double>(state_.counters.steps) /
                          static_cast<double>(std::max<std::int64_t>(1, steps_per_epoch_ * options_.epochs)));
    if (!outer_.empty()) out.kept["outer_momentum"] = outer_;
    if (average_ && !average_->segments().empty()) out.kept["weight_average"] = average_->segments();
    return dtask::write_checkpoint(folder(), out);
  }
  void resume() {
    skipped_.clear();
    dtask::resumed search = read_newest_checkpoint(folder(), replica_->model, origin());
    for (const checkpoint_folder::skipped& each : search.passed) skipped_.push_back(each.path + ": " + each.why);
    if (!search.found) return;
    replica_->model.load(search.found->state);
    state_ = std::move(search.found->state);
    if (!is_local()) restore_optimizer(*replica_->optimizer, replica_->model, state_.optimizer);
    shown_ = true;
    // Where the epoch goes on follows from the steps that are done.
    const std::int64_t steps = state_.counters.steps - state_.counters.epoch * steps_per_epoch_;
    std::int64_t batches = is_local() ? steps : steps * options_.strategy.batches;
    for (position_ = 0; batches > 0 && batches_->steps(position_) != 0; --batches)
      position_ = batches_->after(position_);
    if (const auto kept = search.found->kept.find("outer_momentum"); kept != search.found->kept.end())
      outer_ = std::move(kept->second);
    if (const auto kept = search.found->kept.find("weight_average"); average_ && kept != search.found->kept.end())
      average_->restore(kept->second);
    resumed_from_ = search.path;
  }

  cluster& cluster_;
  training_options options_;
  plan_type plan_;
  std::string run_;
  std::unique_ptr<replica_type> replica_;
  training_state state_;
  bool shown_ = false;  ///< the replica has the state's weights
  std::vector<at::Tensor> outer_;
  std::optional<weight_average> average_;
  std::uint64_t position_ = 0;  ///< in the epoch's order
  std::optional<batch_plan> batches_;
  std::int64_t steps_per_epoch_ = 0;
  std::uint64_t fingerprint_ = 0, test_fingerprint_ = 0;  ///< of the data
  bool told_ = false, begun_ = false, left_ = false;

  epoch_report epoch_;
  std::map<std::pair<detail::part_kind, std::int32_t>, std::uint64_t> bad_;  ///< samples of the epoch
  std::mutex ended_guard_;
  std::vector<std::int32_t> ended_;       ///< ranks, in the order in which their last parts ended
  std::optional<epoch_report> finished_;  ///< its checkpoint is not written yet
  double loss_ = 0;
  std::uint64_t sent_bytes_ = 0;
  std::set<std::string> processors_;
  std::string resumed_from_;
  std::vector<std::string> skipped_;
};

DTASK_END
