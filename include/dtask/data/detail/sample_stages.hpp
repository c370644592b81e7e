// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/detail/stage_context.hpp"
#include "dtask/data/held_bytes.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/task/channel.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// The stages of a dataset that gives single samples, and the bounded queues between them: read, decode and collate;
/// or get, which does the first two at once, and collate. Who is last to leave a stage closes the queue behind it.
template <class Dataset>
class sample_stages {
  static constexpr bool read_apart = !getting_dataset<Dataset>;

 public:
  using context = stage_context<Dataset>;
  using cell = typename context::cell;
  using raw = typename context::types::raw;
  using sample = typename context::types::sample;

  explicit sample_stages(context& run)
      : run_(run),
        wanted_(run.options().read_concurrency),
        read_(run.options().decode_concurrency),
        complete_(run.options().prefetch),
        readers_(first_concurrency()),
        decoders_(run.options().decode_concurrency) {}

  void start(scope& stages) {
    const std::size_t first = first_concurrency(), others = run_.options().decode_concurrency;
    if constexpr (read_apart) {
      for (std::size_t i = 0; i < first; ++i) spawn(stages, &sample_stages::read, this);
      for (std::size_t i = 0; i < others; ++i) spawn(stages, &sample_stages::decode, this);
    } else {
      for (std::size_t i = 0; i < first; ++i) spawn(stages, &sample_stages::get, this);
    }
    for (std::size_t i = 0; i < others; ++i) spawn(stages, &sample_stages::collate, this);
  }
  /// Lets the samples of a batch in, one after the other, each as soon as its bytes have room.
  static task<> admit(sample_stages* self, cell* c) {
    context& run = self->run_;
    c->decoded.resize(c->samples.size());
    for (std::size_t at = 0; at < c->samples.size(); ++at) {
      const std::uint64_t expected = self->expected(c->samples[at]);
      std::uint64_t charge = 0;
      for (;;) {
        run.bytes.changed().reset();
        charge = run.bytes.let_in(c->charged, 1, expected, run.cells.one_under_way());
        if (charge != 0) break;
        co_await run.bytes.changed().wait();
      }
      const place item{c, at, charge};
      co_await self->wanted_.push(item);
    }
  }
  /// All are in.
  void close() noexcept { wanted_.close(); }

 private:
  /// A sample under way, by its place in its batch.
  struct place {
    cell* of;
    std::size_t at;
    std::uint64_t charge;  ///< bytes that it was taken for
    std::uint64_t index() const noexcept { return of->samples[at]; }
  };
  struct stored_sample {
    place from;
    raw stored;
    std::uint64_t size;
  };

  std::size_t first_concurrency() const noexcept {
    if constexpr (!read_apart) {
      // One stage does both: as many as its kind of work asks for.
      using got = decltype(run_.data().get(0, std::declval<sample_random&>()));
      if constexpr (!is_task<got>) return run_.options().decode_concurrency;
    }
    return run_.options().read_concurrency;
  }
  /// What the dataset says that a sample takes; 0: it does not say.
  std::uint64_t expected(std::uint64_t number) const {
    if constexpr (sizing_dataset<Dataset>)
      return run_.data().expected_bytes(number);
    else
      return 0;
  }

  static task<> read(sample_stages* self) {
    context& run = self->run_;
    while (auto next = co_await self->wanted_.pop()) {
      const place item = *next;
      std::optional<raw> stored;
      try {
        const auto time = run.time(run.times.read);
        using got = decltype(run.data().read(0));
        if constexpr (is_task<got>) {
          auto t = run.data().read(item.index());
          run.settle(stored, co_await std::move(t), "read", *item.of, item.at);
        } else {
          run.settle(stored, run.data().read(item.index()), "read", *item.of, item.at);
        }
      } catch (...) {
        run.fail("read", *item.of, item.at);
      }
      if (stored) {
        const std::uint64_t size = held_bytes<raw>::of(*stored);
        stored_sample filled{item, std::move(*stored), size};
        stored.reset();
        co_await self->read_.push(std::move(filled));
      } else if (self->complete(item, 0)) {
        co_await self->complete_.push(item.of);
      }
    }
    if (self->readers_.fetch_sub(1) == 1) self->read_.close();
  }

  static task<> get(sample_stages* self) {
    context& run = self->run_;
    while (auto next = co_await self->wanted_.pop()) {
      const place item = *next;
      std::optional<sample>& to = item.of->decoded[item.at];
      try {
        const auto time = run.time(run.times.read);
        sample_random random = run.keys.of(item.index());
        using got = decltype(run.data().get(item.index(), random));
        if constexpr (is_task<got>) {
          auto t = run.data().get(item.index(), random);
          run.settle(to, co_await std::move(t), "read", *item.of, item.at);
        } else {
          run.settle(to, run.data().get(item.index(), random), "read", *item.of, item.at);
        }
      } catch (...) {
        run.fail("read", *item.of, item.at);
      }
      const bool last = self->complete(item, 0);
      if (last) co_await self->complete_.push(item.of);
    }
    if (self->readers_.fetch_sub(1) == 1) self->complete_.close();
  }

  static task<> decode(sample_stages* self) {
    context& run = self->run_;
    while (auto next = co_await self->read_.pop()) {
      const place item = next->from;
      const std::uint64_t size = next->size;
      std::optional<sample>& to = item.of->decoded[item.at];
      try {
        const auto time = run.time(run.times.decode);
        sample_random random = run.keys.of(item.index());
        using got = decltype(run.data().decode(std::move(next->stored), random));
        if constexpr (is_task<got>) {
          auto t = run.data().decode(std::move(next->stored), random);
          run.settle(to, co_await std::move(t), "decode", *item.of, item.at);
        } else {
          run.settle(to, run.data().decode(std::move(next->stored), random), "decode", *item.of, item.at);
        }
      } catch (...) {
        run.fail("decode", *item.of, item.at);
      }
      next.reset();
      const bool last = self->complete(item, size);
      if (last) co_await self->complete_.push(item.of);
    }
    if (self->decoders_.fetch_sub(1) == 1) self->complete_.close();
  }

  static task<> collate(sample_stages* self) {
    context& run = self->run_;
    while (auto next = co_await self->complete_.pop()) {
      cell& c = **next;
      std::vector<sample> samples;
      samples.reserve(c.decoded.size());
      for (auto& s : c.decoded)
        if (s) samples.push_back(std::move(*s));
      c.decoded.clear();
      c.images = samples.size();
      if (c.images != 0 && c.fatal() == nullptr) {
        try {
          const auto time = run.time(run.times.collate);
          using got = decltype(run.data().collate(std::move(samples)));
          if constexpr (is_task<got>) {
            auto t = run.data().collate(std::move(samples));
            c.batch.emplace(co_await std::move(t));
          } else {
            c.batch.emplace(run.data().collate(std::move(samples)));
          }
        } catch (...) {
          const std::uint64_t index = c.samples.front();
          sample_failure f = caught("collate the batch of", 0, index, source_of(run.data(), index));
          f.bad = false;  // one cannot say which
          c.fail(std::move(f));
        }
      }
      samples.clear();
      run.finish(c);
    }
  }

  /// A sample is what it is, or will never be: the batch counts for it what it holds and what its part of the batch
  /// will take. True: it was the last one of its batch.
  bool complete(const place& item, std::uint64_t stored_size) noexcept {
    cell& c = *item.of;
    const auto& made = c.decoded[item.at];
    const std::uint64_t size = made ? held_bytes<sample>::of(*made) : 0;
    run_.budget().saw_sample(stored_size + size);
    // What the dataset expects has its part of the batch in it.
    const std::uint64_t whole = sizing_dataset<Dataset> ? std::max(size, item.charge) : size + run_.budget().share();
    run_.bytes.change(c.charged, item.charge, made ? whole : 0);
    return c.missing.fetch_sub(1) == 1;
  }

  context& run_;
  channel<place> wanted_;                        ///< to be read
  channel<stored_sample> read_;                  ///< to be decoded
  channel<cell*> complete_;                      ///< whose samples are all there, to be collated
  std::atomic<std::size_t> readers_, decoders_;  ///< that have not left
};

}  // namespace detail
DTASK_END
