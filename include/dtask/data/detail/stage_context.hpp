// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/result.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/detail/byte_account.hpp"
#include "dtask/data/detail/loader_cell.hpp"
#include "dtask/data/detail/loader_cells.hpp"
#include "dtask/data/detail/loader_shared.hpp"
#include "dtask/data/detail/stage_times.hpp"
#include "dtask/data/held_bytes.hpp"
#include "dtask/data/loader_options.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN
namespace detail {

/// What all stages of one run work with. Thread-safe where its members are.
template <class Dataset>
struct stage_context {
  using types = dataset_types<Dataset>;
  using batch = typename types::batch;
  using cell = loader_cell<typename types::sample, batch>;

  stage_context(std::shared_ptr<loader_shared<Dataset>> s, scheduler& w, const sample_keys& k)
      : shared(std::move(s)), where(w), keys(k), cells(options().prefetch, options().ordered), bytes(shared->budget) {}

  const std::shared_ptr<loader_shared<Dataset>> shared;
  scheduler& where;
  const sample_keys keys;
  stage_times times;
  loader_cells<cell> cells;
  byte_account bytes;

  const loader_options& options() const noexcept { return shared->options; }
  const Dataset& data() const noexcept { return *shared->dataset; }
  byte_budget& budget() noexcept { return shared->budget; }

  /// Measures a dataset's function until the end of the scope. `sum`: of `times`.
  stage_times::stopwatch time(std::atomic<std::int64_t>& sum) noexcept { return stage_times::stopwatch(where, sum); }

  /// What a dataset's function gave for the sample at a place of its batch: a value, or the error of a `result`.
  template <class T, class V>
  void settle(std::optional<T>& to, V&& value, const char* stage, cell& c, std::size_t at) {
    if constexpr (std::is_same_v<std::remove_cvref_t<V>, result<T>>) {
      if (value) {
        to.emplace(std::move(*value));
        return;
      }
      const std::uint64_t index = c.samples[at];
      const std::string source = source_of(data(), index);
      const error& why = value.error();
      c.fail({at, index,
              stage_error(stage, index, source.empty() ? why.place() : source, why.code(), why.cause(), why.remedy()),
              true});
    } else {
      to.emplace(std::forward<V>(value));
    }
  }
  /// What it threw, inside the handler.
  void fail(const char* stage, cell& c, std::size_t at) {
    const std::uint64_t index = c.samples[at];
    c.fail(caught(stage, at, index, source_of(data(), index)));
  }
  /// The last stage is done with a batch: what it holds is counted, and it may be taken.
  void finish(cell& c) noexcept {
    if (c.batch) {
      const std::uint64_t size = held_bytes<batch>::of(*c.batch);
      budget().saw_batch(size, std::max<std::uint64_t>(c.images, 1));
      bytes.change(c.charged, c.charged.load(), size);
    }
    cells.deliver(c);
  }
};

}  // namespace detail
DTASK_END
