// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/bad_sample.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/detail/stage_context.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/task/channel.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// The stage of a dataset that fills whole batches.
template <class Dataset>
class gather_stage {
 public:
  using context = stage_context<Dataset>;
  using cell = typename context::cell;

  explicit gather_stage(context& run) : run_(run), batches_(run.options().prefetch) {}

  void start(scope& stages) {
    for (std::size_t i = 0; i < run_.options().read_concurrency; ++i) spawn(stages, &gather_stage::gather, this);
  }
  /// Lets a batch in as soon as its bytes have room.
  static task<> admit(gather_stage* self, cell* c) {
    context& run = self->run_;
    for (;;) {
      run.bytes.changed().reset();
      if (run.bytes.let_in(c->charged, c->samples.size(), 0, run.cells.one_under_way())) break;
      co_await run.bytes.changed().wait();
    }
    co_await self->batches_.push(c);
  }
  /// All are in.
  void close() noexcept { batches_.close(); }

 private:
  static task<> gather(gather_stage* self) {
    context& run = self->run_;
    while (auto next = co_await self->batches_.pop()) {
      cell& c = **next;
      std::vector<std::uint64_t> samples = c.samples;
      bool again = true;
      while (again) {
        again = false;
        try {
          const auto time = run.time(run.times.gather);
          using got = decltype(run.data().gather(std::span<const std::uint64_t>(), sample_keys{}));
          if constexpr (is_task<got>) {
            auto t = run.data().gather(std::span<const std::uint64_t>(samples), run.keys);
            c.batch.emplace(co_await std::move(t));
          } else {
            c.batch.emplace(run.data().gather(std::span<const std::uint64_t>(samples), run.keys));
          }
        } catch (...) {
          again = self->leave_out(c, samples);
        }
      }
      c.images = samples.size();
      run.finish(c);
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
    sample_failure f = caught(named ? "gather" : "gather the batch of", at, culprit, source_of(run_.data(), culprit));
    f.bad = named;
    c.fail(std::move(f));
    // A padded batch may hold it twice.
    if (named) std::erase(samples, culprit);
    return named && !samples.empty();
  }

  context& run_;
  channel<cell*> batches_;
};

}  // namespace detail
DTASK_END
