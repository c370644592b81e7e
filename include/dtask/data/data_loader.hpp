// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/core_count.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/detail/background.hpp"
#include "dtask/data/detail/loader_cell.hpp"
#include "dtask/data/detail/loader_progress.hpp"
#include "dtask/data/detail/loader_run.hpp"
#include "dtask/data/loader_options.hpp"
#include "dtask/data/loader_report.hpp"
#include "dtask/data/loader_state.hpp"
#include "dtask/runtime/work_pool.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/parts/thread_state.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// Batches of a dataset, loaded ahead of the task that consumes them:
///
///     dtask::data_loader loader(dtask::idx_dataset("fashion-mnist", dtask::split::train), {.batch = 128, .seed = 1});
///     for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
///       loader.start_epoch(epoch);
///       while (auto batch = co_await loader.next()) train_on(*batch);
///     }
///
/// Stages: the index decides which samples a batch holds (`batch_plan`), then the dataset reads, decodes and collates
/// them, or gathers whole batches. They run on a scheduler of their own, as many at a time as the options say, joined
/// by bounded queues; what is ahead is bounded in batches and in bytes. Which samples a batch holds, and the random
/// numbers of their augmentation, depend on seed and epoch alone: not on threads, on what is loaded ahead, nor, for one
/// size of the step (`batch * ranks`), on the number of ranks. A dataset in memory is gathered inside `next()` instead:
/// nothing runs beside it.
///
/// The destructor stops the stages and blocks until they have ended, which takes as long as the dataset's functions
/// that run. On a thread of the loader's own scheduler it cannot: there the stages end on their own, only they hold the
/// dataset by then, and `co_await close()` before waits for them. Move-only. One task at a time uses it.
template <class Dataset>
class data_loader {
  static_assert(dataset<Dataset>,
                "dtask: a dataset has size(), fingerprint() and gather(samples, keys), or get(sample, random) or "
                "read(sample) and decode(raw, random), with collate(samples): see dtask::dataset");

 public:
  using dataset_type = Dataset;          ///< what is loaded
  using batch_type = batch_of<Dataset>;  ///< what `next()` yields

  /// Starts nothing yet: the first `next()` or `start_epoch` does. Throws `error(invalid_argument)` for options that do
  /// not fit the dataset (see `batch_plan`) or bounds of nothing. `data` is shared: several loaders may use one.
  explicit data_loader(std::shared_ptr<const Dataset> data, const loader_options& options = {})
      : plan_(plan_options(data, options)), state_(std::make_unique<inner>(std::move(data), checked(options))) {
    state_->at.go_to(plan_, 0, 0, {});
  }
  /// The same with a dataset of its own.
  explicit data_loader(Dataset data, const loader_options& options = {})
      : data_loader(std::make_shared<const Dataset>(std::move(data)), options) {}
  /// Takes the loader over, with what runs for it. What is moved from is assigned to or destroyed, and not used
  /// otherwise.
  data_loader(data_loader&&) noexcept = default;
  /// The same; the loader that was here ends first, as in the destructor.
  data_loader& operator=(data_loader&& other) noexcept {
    if (this != &other) {
      end();
      plan_ = other.plan_;
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~data_loader() { end(); }

  const Dataset& data() const noexcept { return *state_->shared->dataset; }  ///< the dataset; lives as long as this
  /// As they were given; a `decode_concurrency` of 0 has become the number of cores.
  const loader_options& options() const noexcept { return state_->shared->options; }
  /// Which samples the batches hold. After `restore` seed and shuffle are those of the state.
  const batch_plan& plan() const noexcept { return plan_; }
  /// Batches that are left of this epoch, those that bad samples may leave empty included. The same for all ranks, but
  /// for `uneven::exact`, where a rank's last one may be missing.
  std::uint64_t steps() const noexcept { return state_->at.steps(plan_); }

  /// The next batch; nothing at the end of the epoch, until `start_epoch` or `restore`.
  ///
  /// Errors: what the dataset threw, as an `error` of the same code (`bad_data` for other types) that names stage,
  /// sample and source; `bad_data` for one bad sample more than the options allow; `closed` after `close()`. The
  /// stages have then ended, nothing was taken, and another `next()` tries the same batch again. Stop and deadline:
  /// the stages are stopped and joined, then it throws `error(cancelled)` or `error(deadline_exceeded)`; nothing is
  /// lost then either. The loader outlives it and is not moved meanwhile.
  task<std::optional<batch_type>> next() {
    if constexpr (detail::gathers_in_memory<Dataset>)
      return gather_here(this);
    else
      return next_loaded(this);
  }

  /// Goes to the beginning of an epoch, whose batches are loaded from now on; what was loaded of another is dropped.
  void start_epoch(std::uint64_t epoch) {
    go_to(epoch, 0, {});
    if constexpr (!detail::gathers_in_memory<Dataset>) {
      if (state_->leaving.empty()) begin();
    }
  }

  /// Where the loader stands: what was handed out counts, what was loaded ahead does not.
  loader_state state() const { return state_->at.state(plan_, data().fingerprint()); }

  /// Goes on from where another loader of the same dataset stood, in its order (seed and shuffle are those of `from`),
  /// with this loader's batch and ranks. Takes the same time wherever that is. What is loaded ahead stays where the
  /// loader stands there already. Throws `error(invalid_argument)`, and changes nothing, where it cannot (see
  /// `check_restorable`).
  void restore(const loader_state& from) {
    check_restorable(from, plan_, data().fingerprint());
    batch_plan_options p = plan_.options();
    const bool same_order = p.seed == from.seed && p.shuffle == from.shuffle;
    const detail::loader_progress& at = state_->at;
    if (same_order && at.epoch == from.epoch && at.position == from.position && at.ahead == from.ahead) return;
    p.seed = from.seed;
    p.shuffle = from.shuffle;
    plan_ = batch_plan(p);
    std::vector<std::uint64_t> ahead = from.ahead;
    std::sort(ahead.begin(), ahead.end());
    ahead.erase(std::unique(ahead.begin(), ahead.end()), ahead.end());
    go_to(from.epoch, from.position, std::move(ahead));
  }

  /// What was done since the epoch was started or restored.
  loader_report report() const {
    loader_report out = state_->at.report;
    if (state_->run) add_times(out, state_->run->times());
    out.peak_bytes = state_->shared->budget.peak();
    return out;
  }

  /// Stops the stages and waits for their ends, also under stop. `next()` throws `error(closed)` afterwards.
  task<> close() { return close_it(this); }

 private:
  using shared_type = detail::loader_shared<Dataset>;
  using run_type = detail::loader_run<Dataset>;

  struct inner {
    inner(std::shared_ptr<const Dataset> data, const loader_options& options)
        : shared(std::make_shared<shared_type>(std::move(data), options)) {}
    std::shared_ptr<shared_type> shared;
    detail::loader_progress at;
    std::shared_ptr<run_type> run;
    std::shared_ptr<detail::background> stages;                ///< of `run`
    std::vector<std::shared_ptr<detail::background>> leaving;  ///< stopped and perhaps not ended
    bool closed = false;
    time_point first_call{};
    bool called = false;
  };

  static batch_plan_options plan_options(const std::shared_ptr<const Dataset>& data, const loader_options& o) {
    if (!data) throw error(errc::invalid_argument, "a loader without a dataset", "data_loader");
    return {.samples = data->size(),
            .batch = o.batch,
            .ranks = o.ranks,
            .rank = o.rank,
            .shuffle = o.shuffle,
            .seed = o.seed,
            .rest = o.rest};
  }
  static loader_options checked(loader_options o) {
    if (o.prefetch == 0 || o.read_concurrency == 0 || o.max_bytes == 0)
      throw error(errc::invalid_argument, "prefetch, read_concurrency and max_bytes are at least 1", "data_loader",
                  "leave them at their defaults");
    constexpr std::size_t most = 4096;
    if (o.prefetch > most || o.read_concurrency > most || o.decode_concurrency > most)
      throw error(errc::invalid_argument,
                  "prefetch, read_concurrency and decode_concurrency are at most " + std::to_string(most),
                  "data_loader", "each costs memory: choose what keeps the stages busy");
    if (o.decode_concurrency == 0) o.decode_concurrency = usable_cores();
    return o;
  }
  scheduler& where() const {
    if (scheduler* const own = options().scheduler) return *own;
    return work_pool::shared();
  }

  static void add_times(loader_report& to, const detail::stage_times& from) noexcept {
    const auto seconds = [](const std::atomic<std::int64_t>& ns) {
      return 1e-9 * static_cast<double>(ns.load(std::memory_order_relaxed));
    };
    to.read_seconds += seconds(from.read);
    to.decode_seconds += seconds(from.decode);
    to.collate_seconds += seconds(from.collate);
    to.gather_seconds += seconds(from.gather);
  }
  static double seconds(duration d) noexcept { return std::chrono::duration<double>(d).count(); }

  void go_to(std::uint64_t epoch, std::uint64_t position, std::vector<std::uint64_t> ahead) {
    leave();
    state_->at.go_to(plan_, epoch, position, std::move(ahead));
    state_->called = false;
    state_->shared->budget.reset_peak();
  }
  /// Starts the stages at the position. Only when all that were stopped have ended.
  void begin() {
    if (state_->closed || steps() == 0) return;
    scheduler& place = where();
    state_->leaving.reserve(state_->leaving.size() + 1);  // for leave(), which must not fail
    const detail::loader_progress& at = state_->at;
    auto run = std::make_shared<run_type>(state_->shared, place, plan_, at.epoch, at.position, at.ahead);
    state_->stages = detail::background::start(place, run_type::work(run));
    state_->run = std::move(run);
  }
  /// Stops the stages, without waiting.
  void leave() {
    inner& s = *state_;
    std::erase_if(s.leaving, [](const auto& b) { return b->ended().is_set(); });
    if (!s.stages) return;
    add_times(s.at.report, s.run->times());
    s.leaving.push_back(s.stages);
    s.stages->request_stop();
    s.stages.reset();
    s.run.reset();
  }
  void end() noexcept {
    if (!state_) return;
    leave();
    for (const auto& b : state_->leaving)
      if (!b->where().runs_here() && !detail::scheduler_entry::covers(b->where())) b->wait();
    state_.reset();
  }
  static task<> wait_for(std::shared_ptr<detail::background> stages) { co_await stages->ended().wait(); }
  static task<> join(inner* s) {
    while (!s->leaving.empty()) {
      auto last = s->leaving.back();
      auto ended = shield(wait_for(last));
      co_await std::move(ended);
      std::erase(s->leaving, last);
    }
  }
  static task<> close_it(data_loader* self) {
    self->state_->closed = true;
    self->leave();
    auto joined = shield(join(self->state_.get()));
    co_await std::move(joined);
  }

  /// Measures one call of `next()`, and what is before it.
  void call_begins(time_point now) noexcept {
    if (!std::exchange(state_->called, true)) state_->first_call = now;
  }
  void call_ends(time_point began, time_point now) noexcept {
    state_->at.report.stall_seconds += seconds(now - began);
    state_->at.report.seconds = seconds(now - state_->first_call);
  }

  void check_open() const {
    if (state_->closed) throw error(errc::closed, "the loader is closed", "data_loader::next");
  }

  static task<std::optional<batch_type>> gather_here(data_loader* self) {
    const environment& env = co_await this_environment();
    self->check_open();
    const time_point began = env.where->now();
    self->call_begins(began);
    inner& s = *self->state_;
    std::optional<batch_type> out;
    while (!out && self->steps() != 0) {
      std::vector<std::uint64_t> samples = self->plan_.batch_at(s.at.epoch, s.at.position);
      std::vector<detail::sample_failure> bad;
      self->gather_from(out, samples, bad);
      s.at.count_bad(bad, self->options().bad_samples);
      s.at.count(out.has_value(), samples.size());
      s.at.advance(self->plan_, s.at.position);
    }
    if (!out) s.at.finish(self->plan_);
    const time_point now = env.where->now();
    s.at.report.gather_seconds += seconds(now - began);
    self->call_ends(began, now);
    co_return out;
  }
  /// The batch of `samples`, from which bad ones are taken out; nothing where all are bad.
  void gather_from(std::optional<batch_type>& out, std::vector<std::uint64_t>& samples,
                   std::vector<detail::sample_failure>& bad) {
    static_assert(!detail::gathers_in_memory<Dataset> || gathering_dataset<Dataset>,
                  "dtask: a dataset in memory gathers whole batches");
    const sample_keys keys{plan_.options().seed, state_->at.epoch};
    while (!samples.empty()) {
      try {
        out.emplace(data().gather(std::span<const std::uint64_t>(samples), keys));
        return;
      } catch (const bad_sample& e) {
        const std::uint64_t culprit = e.sample().value_or(samples.front());
        const auto it = std::find(samples.begin(), samples.end(), culprit);
        const bool named = e.sample().has_value() && it != samples.end();
        detail::sample_failure f =
            detail::caught(named ? "gather" : "gather the batch of", static_cast<std::size_t>(it - samples.begin()),
                           culprit, detail::source_of(data(), culprit));
        if (!named) throw f.why;
        f.at = bad.size();
        bad.push_back(std::move(f));
        std::erase(samples, culprit);
      } catch (...) {
        throw detail::caught("gather the batch of", 0, samples.front(), detail::source_of(data(), samples.front())).why;
      }
    }
  }

  static task<std::optional<batch_type>> next_loaded(data_loader* self) {
    const environment& env = co_await this_environment();
    self->check_open();
    const time_point began = env.where->now();
    self->call_begins(began);
    std::optional<batch_type> out;
    std::exception_ptr failure;
    try {
      auto taking = take_loaded(self, &out);
      co_await std::move(taking);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) {
      // Nothing runs on behind the back of who was stopped or told of an error.
      self->leave();
      auto joined = shield(join(self->state_.get()));
      co_await std::move(joined);
    }
    self->call_ends(began, env.where->now());
    if (failure) std::rethrow_exception(failure);
    co_return out;
  }
  static task<> take_loaded(data_loader* self, std::optional<batch_type>* out) {
    inner& s = *self->state_;
    if (!s.stages) {
      auto joined = join(&s);
      co_await std::move(joined);
      self->begin();
    }
    while (!*out && self->steps() != 0) {
      run_type& run = *s.run;
      run.ready().reset();
      auto* const cell = run.take();
      if (cell == nullptr) {
        co_await run.ready().wait();
        continue;
      }
      if (const detail::sample_failure* const fatal = cell->fatal()) throw fatal->why;
      s.at.count_bad(cell->failures(), self->options().bad_samples);
      s.at.count(cell->batch.has_value(), cell->images);
      if (cell->batch) out->emplace(std::move(*cell->batch));
      s.at.advance(self->plan_, cell->position);
      run.give_back(*cell);
    }
    if (*out) co_return;
    s.at.finish(self->plan_);
    if (s.stages) {
      // They have nothing left to do; joined, so that the next epoch can begin at once.
      self->leave();
      auto joined = join(&s);
      co_await std::move(joined);
    }
  }

  batch_plan plan_;
  std::unique_ptr<inner> state_;
};

/// @cond internal
template <class Dataset>
data_loader(Dataset) -> data_loader<Dataset>;
template <class Dataset>
data_loader(Dataset, loader_options) -> data_loader<Dataset>;
template <class Dataset>
data_loader(std::shared_ptr<Dataset>) -> data_loader<std::remove_const_t<Dataset>>;
template <class Dataset>
data_loader(std::shared_ptr<Dataset>, loader_options) -> data_loader<std::remove_const_t<Dataset>>;
/// @endcond

DTASK_END
