// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/detail/byte_budget.hpp"
#include "dtask/data/detail/loader_cell.hpp"
#include "dtask/data/held_bytes.hpp"
#include "dtask/data/loader_options.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/task/channel.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/parts/short_lock.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/semaphore.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// Busy time of the stages, in nanoseconds.
struct stage_times {
  std::atomic<std::int64_t> read{0}, decode{0}, collate{0}, gather{0};
};

/// What the runs of one loader share and what outlives it with them.
template <class Dataset>
struct loader_shared {
  loader_shared(std::shared_ptr<const Dataset> d, const loader_options& o)
      : dataset(std::move(d)), options(o), budget(o.max_bytes) {}
  const std::shared_ptr<const Dataset> dataset;
  const loader_options options;
  byte_budget budget;
};

/// The stages from one position to the end of an epoch: index, then gather; or index, read, decode and collate.
///
/// The index stage alone waits for room: for one of the cells, of which there are as many as batches may be ahead, and
/// for bytes. It goes through the samples in order, so what holds the bytes is always older than what waits for them,
/// and the oldest batch never waits: no two stages can wait for each other.
template <class Dataset>
class loader_run {
  using types = dataset_types<Dataset>;
  static constexpr bool in_two_stages = !gathering_dataset<Dataset> && !getting_dataset<Dataset>;

 public:
  using raw = typename types::raw;
  using sample = typename types::sample;
  using batch = typename types::batch;
  using cell = loader_cell<sample, batch>;

  loader_run(std::shared_ptr<loader_shared<Dataset>> shared, scheduler& where, const batch_plan& plan,
             std::uint64_t epoch, std::uint64_t position, std::vector<std::uint64_t> skipped)
      : shared_(std::move(shared)),
        where_(where),
        plan_(plan),
        keys_{plan.options().seed, epoch},
        position_(position),
        skipped_(std::move(skipped)),
        cells_(options().prefetch),
        ring_(options().prefetch, nullptr),
        free_(options().prefetch),
        gathers_(options().prefetch),
        reads_(options().read_concurrency),
        decodes_(options().decode_concurrency),
        collates_(options().prefetch),
        reading_(readers()),
        decoding_(options().decode_concurrency) {
    for (cell& c : cells_) unused_.push_back(&c);
    done_.reserve(cells_.size());
  }
  loader_run(const loader_run&) = delete;
  loader_run& operator=(const loader_run&) = delete;
  ~loader_run() { budget().subtract(charged_); }

  /// The whole of it; the run lives as long as the task.
  static task<> work(std::shared_ptr<loader_run> run) {
    std::exception_ptr failure;
    try {
      auto stages = with_scope(&loader_run::start, run.get());
      co_await std::move(stages);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) run->fail(std::move(failure));
  }

  /// The next batch's cell: in order, or any that is ready; null: none yet. Throws where a stage broke off, for want of
  /// memory.
  cell* take() {
    const short_guard hold(lock_);
    if (failure_) std::rethrow_exception(failure_);
    if (options().ordered) {
      cell*& slot = ring_[static_cast<std::size_t>(taken_ % ring_.size())];
      if (slot == nullptr) return nullptr;
      ++taken_;
      return std::exchange(slot, nullptr);
    }
    if (done_.empty()) return nullptr;
    cell* const first = done_.front();
    done_.erase(done_.begin());
    return first;
  }
  /// Set when `take` may have something new. To be reset before `take` is asked.
  event& ready() noexcept { return ready_; }
  /// A cell that `take` gave is not used any more.
  void give_back(cell& c) noexcept {
    uncharge(c.charged.exchange(0));
    c.batch.reset();
    c.decoded.clear();
    c.failures().clear();
    {
      const short_guard hold(lock_);
      unused_.push_back(&c);
      --under_way_;
    }
    free_.release();
    room_.set();
  }
  const stage_times& times() const noexcept { return times_; }

 private:
  struct read_item {
    cell* of;
    std::size_t at;
    std::uint64_t charge;
  };
  struct decode_item {
    read_item from;
    raw read;
    std::uint64_t size;
  };
  /// Adds the time of a dataset's function.
  class stopwatch {
   public:
    stopwatch(scheduler& where, std::atomic<std::int64_t>& sum) noexcept
        : where_(where), sum_(sum), begin_(where.now()) {}
    ~stopwatch() {
      sum_.fetch_add(std::chrono::duration_cast<std::chrono::nanoseconds>(where_.now() - begin_).count(),
                     std::memory_order_relaxed);
    }
    stopwatch(const stopwatch&) = delete;
    stopwatch& operator=(const stopwatch&) = delete;

   private:
    scheduler& where_;
    std::atomic<std::int64_t>& sum_;
    const time_point begin_;
  };

  const loader_options& options() const noexcept { return shared_->options; }
  const Dataset& data() const noexcept { return *shared_->dataset; }
  byte_budget& budget() noexcept { return shared_->budget; }
  std::size_t readers() const noexcept {
    if constexpr (!gathering_dataset<Dataset> && !in_two_stages) {
      // One stage does both: as many as its kind of work asks for.
      using got = decltype(data().get(0, std::declval<sample_random&>()));
      if constexpr (!is_task<got>) return options().decode_concurrency;
    }
    return options().read_concurrency;
  }

  static task<> start(scope& stages, loader_run* run) {
    spawn(stages, &loader_run::index, run);
    if constexpr (gathering_dataset<Dataset>) {
      for (std::size_t i = 0; i < run->readers(); ++i) spawn(stages, &loader_run::gather, run);
    } else {
      for (std::size_t i = 0; i < run->readers(); ++i) spawn(stages, &loader_run::read, run);
      if constexpr (in_two_stages)
        for (std::size_t i = 0; i < run->options().decode_concurrency; ++i) spawn(stages, &loader_run::decode, run);
      for (std::size_t i = 0; i < run->options().decode_concurrency; ++i) spawn(stages, &loader_run::collate, run);
    }
    co_await stages.join();
  }

  static task<> index(loader_run* run) {
    std::uint64_t position = run->position_;
    const std::uint64_t steps = run->plan_.steps(position);
    for (std::uint64_t step = 0; step < steps; ++step) {
      const std::uint64_t here = position;
      position = run->plan_.after(position);
      if (std::binary_search(run->skipped_.begin(), run->skipped_.end(), here)) continue;
      std::vector<std::uint64_t> samples = run->plan_.batch_at(run->keys_.epoch, here);
      if (samples.empty()) break;  // an exact plan's last step may have nothing for this rank
      co_await run->free_.acquire();
      cell& c = run->fresh(here, std::move(samples));
      if constexpr (gathering_dataset<Dataset>) {
        for (;;) {
          run->room_.reset();
          if (run->let_in(c, c.samples.size(), 0)) break;
          co_await run->room_.wait();
        }
        co_await run->gathers_.push(&c);
      } else {
        for (std::size_t at = 0; at < c.samples.size(); ++at) {
          const std::uint64_t expected = run->expected(c.samples[at]);
          std::uint64_t charge = 0;
          for (;;) {
            run->room_.reset();
            charge = run->let_in(c, 1, expected);
            if (charge != 0) break;
            co_await run->room_.wait();
          }
          const read_item item{&c, at, charge};
          co_await run->reads_.push(item);
        }
      }
    }
    run->gathers_.close();
    run->reads_.close();
  }

  static task<> gather(loader_run* run) {
    while (auto next = co_await run->gathers_.pop()) {
      cell& c = **next;
      std::vector<std::uint64_t> samples = c.samples;
      bool again = true;
      while (again) {
        again = false;
        try {
          const stopwatch time(run->where_, run->times_.gather);
          using got = decltype(run->data().gather(std::span<const std::uint64_t>(), sample_keys{}));
          if constexpr (is_task<got>) {
            auto t = run->data().gather(std::span<const std::uint64_t>(samples), run->keys_);
            c.batch.emplace(co_await std::move(t));
          } else {
            c.batch.emplace(run->data().gather(std::span<const std::uint64_t>(samples), run->keys_));
          }
        } catch (...) {
          again = run->leave_out(c, samples);
        }
      }
      c.images = samples.size();
      if (c.batch) run->hold_batch(c);
      run->deliver(c);
    }
  }

  static task<> read(loader_run* run) {
    while (auto next = co_await run->reads_.pop()) {
      const read_item item = *next;
      cell& c = *item.of;
      const std::uint64_t index = c.samples[item.at];
      std::optional<raw> stored;
      try {
        if constexpr (in_two_stages) {
          const stopwatch time(run->where_, run->times_.read);
          using got = decltype(run->data().read(0));
          if constexpr (is_task<got>) {
            auto t = run->data().read(index);
            run->settle(stored, co_await std::move(t), "read", item);
          } else {
            run->settle(stored, run->data().read(index), "read", item);
          }
        } else {
          const stopwatch time(run->where_, run->times_.read);
          sample_random random = run->keys_.of(index);
          using got = decltype(run->data().get(index, random));
          if constexpr (is_task<got>) {
            auto t = run->data().get(index, random);
            run->settle(c.decoded[item.at], co_await std::move(t), "read", item);
          } else {
            run->settle(c.decoded[item.at], run->data().get(index, random), "read", item);
          }
        }
      } catch (...) {
        c.fail(caught("read", item.at, index, source_of(run->data(), index)));
      }
      if (stored) {
        const std::uint64_t size = held_bytes<raw>::of(*stored);
        decode_item filled{item, std::move(*stored), size};
        stored.reset();
        co_await run->decodes_.push(std::move(filled));
        continue;
      }
      const bool last = run->decoded(item, 0);
      if (last) co_await run->collates_.push(&c);
    }
    if (run->reading_.fetch_sub(1) == 1) {
      run->decodes_.close();
      if constexpr (!in_two_stages) run->collates_.close();
    }
  }

  static task<> decode(loader_run* run) {
    while (auto next = co_await run->decodes_.pop()) {
      const read_item item = next->from;
      const std::uint64_t size = next->size;
      cell& c = *item.of;
      const std::uint64_t index = c.samples[item.at];
      try {
        const stopwatch time(run->where_, run->times_.decode);
        sample_random random = run->keys_.of(index);
        using got = decltype(run->data().decode(std::move(next->read), random));
        if constexpr (is_task<got>) {
          auto t = run->data().decode(std::move(next->read), random);
          run->settle(c.decoded[item.at], co_await std::move(t), "decode", item);
        } else {
          run->settle(c.decoded[item.at], run->data().decode(std::move(next->read), random), "decode", item);
        }
      } catch (...) {
        c.fail(caught("decode", item.at, index, source_of(run->data(), index)));
      }
      next.reset();
      const bool last = run->decoded(item, size);
      if (last) co_await run->collates_.push(&c);
    }
    if (run->decoding_.fetch_sub(1) == 1) run->collates_.close();
  }

  static task<> collate(loader_run* run) {
    while (auto next = co_await run->collates_.pop()) {
      cell& c = **next;
      std::vector<sample> samples;
      samples.reserve(c.decoded.size());
      for (auto& s : c.decoded)
        if (s) samples.push_back(std::move(*s));
      c.decoded.clear();
      c.images = samples.size();
      if (c.images != 0 && c.fatal() == nullptr) {
        try {
          const stopwatch time(run->where_, run->times_.collate);
          using got = decltype(run->data().collate(std::move(samples)));
          if constexpr (is_task<got>) {
            auto t = run->data().collate(std::move(samples));
            c.batch.emplace(co_await std::move(t));
          } else {
            c.batch.emplace(run->data().collate(std::move(samples)));
          }
        } catch (...) {
          const std::uint64_t index = c.samples.front();
          sample_failure f = caught("collate the batch of", 0, index, source_of(run->data(), index));
          f.bad = false;  // one cannot say which
          c.fail(std::move(f));
        }
      }
      samples.clear();
      if (c.batch) run->hold_batch(c);
      run->deliver(c);
    }
  }

  /// An unused cell for the step at `position`. There is one: the semaphore counts them.
  cell& fresh(std::uint64_t position, std::vector<std::uint64_t> samples) {
    cell* c = nullptr;
    {
      const short_guard hold(lock_);
      c = unused_.back();
      unused_.pop_back();
      ++under_way_;
    }
    c->position = position;
    c->number = made_++;
    c->samples = std::move(samples);
    c->missing.store(c->samples.size());
    c->images = 0;
    if constexpr (!gathering_dataset<Dataset>) c->decoded.resize(c->samples.size());
    return *c;
  }
  /// What the dataset says that a sample takes; 0: it does not say.
  std::uint64_t expected(std::uint64_t number) const {
    if constexpr (sizing_dataset<Dataset>)
      return data().expected_bytes(number);
    else
      return 0;
  }
  /// Counts `samples` more of a cell, and says how many bytes they are taken for; 0: there is no room yet.
  std::uint64_t let_in(cell& c, std::uint64_t samples, std::uint64_t expected) noexcept {
    const bool oldest = [this] {
      const short_guard hold(lock_);
      return under_way_ == 1;
    }();
    byte_budget& bytes = budget();
    // Before any size is known, one batch.
    if (expected == 0 && !bytes.known() && !oldest) return 0;
    const std::uint64_t charge = std::max<std::uint64_t>(expected != 0 ? expected : bytes.estimate() * samples, 1);
    if (!oldest && !bytes.fits(charge)) return 0;
    bytes.add(charge);
    add_charge(c, charge);
    return charge;
  }
  void add_charge(cell& c, std::uint64_t charge) noexcept {
    c.charged.fetch_add(charge);
    const short_guard hold(lock_);
    charged_ += charge;
  }
  void uncharge(std::uint64_t charge) noexcept {
    budget().subtract(charge);
    const short_guard hold(lock_);
    charged_ -= charge;
  }
  /// A sample is what it is: the cell counts for it what it holds and what its part of the batch will take. True: it
  /// was the last one of its batch.
  bool decoded(const read_item& item, std::uint64_t raw_size) noexcept {
    cell& c = *item.of;
    const auto& made = c.decoded[item.at];
    const std::uint64_t size = made ? held_bytes<sample>::of(*made) : 0;
    budget().saw_sample(raw_size + size);
    // What the dataset expects has its part of the batch in it.
    const std::uint64_t whole = sizing_dataset<Dataset> ? std::max(size, item.charge) : size + budget().share();
    recharge(c, item.charge, made ? whole : 0);
    return c.missing.fetch_sub(1) == 1;
  }
  void hold_batch(cell& c) noexcept {
    const std::uint64_t size = held_bytes<batch>::of(*c.batch);
    budget().saw_batch(size, std::max<std::uint64_t>(c.images, 1));
    recharge(c, c.charged.load(), size);
  }
  void recharge(cell& c, std::uint64_t from, std::uint64_t to) noexcept {
    if (to > from) {
      budget().add(to - from);
      add_charge(c, to - from);
    } else if (from > to) {
      c.charged.fetch_sub(from - to);
      uncharge(from - to);
    }
    room_.set();
  }

  /// A value, or the error of a `result`.
  template <class T, class V>
  void settle(std::optional<T>& to, V&& value, const char* stage, const read_item& item) {
    if constexpr (std::is_same_v<std::remove_cvref_t<V>, result<T>>) {
      if (value) {
        to.emplace(std::move(*value));
        return;
      }
      const std::uint64_t index = item.of->samples[item.at];
      const std::string source = source_of(data(), index);
      const error& why = value.error();
      item.of->fail(
          {item.at, index,
           stage_error(stage, index, source.empty() ? why.place() : source, why.code(), why.cause(), why.remedy()),
           true});
    } else {
      to.emplace(std::forward<V>(value));
    }
  }
  /// After a gather has thrown, inside the handler. True: it was a bad sample, which `samples` no longer holds.
  bool leave_out(cell& c, std::vector<std::uint64_t>& samples) {
    const std::uint64_t first = samples.front();
    std::uint64_t culprit = first;
    bool named = false;
    try {
      throw;
    } catch (const bad_sample& e) {
      named = e.sample().has_value();
      culprit = e.sample().value_or(first);
    } catch (...) {
    }
    const auto it = std::find(samples.begin(), samples.end(), culprit);
    named = named && it != samples.end();
    const auto at =
        static_cast<std::size_t>(std::find(c.samples.begin(), c.samples.end(), culprit) - c.samples.begin());
    sample_failure f = caught(named ? "gather" : "gather the batch of", at, culprit, source_of(data(), culprit));
    f.bad = named;
    c.fail(std::move(f));
    // A padded batch may hold it twice.
    if (named) std::erase(samples, culprit);
    return named && !samples.empty();
  }

  void deliver(cell& c) noexcept {
    {
      const short_guard hold(lock_);
      if (options().ordered)
        ring_[static_cast<std::size_t>(c.number % ring_.size())] = &c;
      else
        done_.push_back(&c);  // reserved
    }
    ready_.set();
  }
  void fail(std::exception_ptr failure) noexcept {
    {
      const short_guard hold(lock_);
      failure_ = std::move(failure);
    }
    ready_.set();
  }

  const std::shared_ptr<loader_shared<Dataset>> shared_;
  scheduler& where_;
  const batch_plan plan_;
  const sample_keys keys_;
  const std::uint64_t position_;
  const std::vector<std::uint64_t> skipped_;  ///< positions of steps that were handed out before; sorted
  stage_times times_;

  std::vector<cell> cells_;
  short_lock lock_;  ///< guards what follows
  std::vector<cell*> unused_;
  std::vector<cell*> ring_;  ///< ordered: the cell of step `number` at `number` modulo the size
  std::vector<cell*> done_;  ///< unordered
  std::uint64_t taken_ = 0;
  std::uint64_t under_way_ = 0;  ///< cells that are in use
  std::uint64_t charged_ = 0;    ///< bytes that this run counts
  std::exception_ptr failure_;

  std::uint64_t made_ = 0;  ///< of the index stage
  semaphore free_;
  event room_, ready_;
  channel<cell*> gathers_;
  channel<read_item> reads_;
  channel<decode_item> decodes_;
  channel<cell*> collates_;
  std::atomic<std::size_t> reading_, decoding_;  ///< stages that have not ended
};

}  // namespace detail
DTASK_END
