// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/detail/gather_stage.hpp"
#include "dtask/data/detail/loader_shared.hpp"
#include "dtask/data/detail/sample_stages.hpp"
#include "dtask/data/detail/stage_context.hpp"
#include "dtask/data/detail/stage_times.hpp"
#include "dtask/data/sample_random.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/scheduler.hpp"
#include "dtask/task/scope.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// The stages from one position to the end of an epoch: index, then gather; or index, read, decode and collate.
///
/// The index stage alone waits for room: for one of the cells, of which there are as many as batches may be ahead, and
/// for bytes. It goes through the samples in order, so what holds the bytes is always older than what waits for them,
/// and the oldest batch never waits: no two stages can wait for each other.
template <class Dataset>
class loader_run {
  using stages_type = std::conditional_t<gathering_dataset<Dataset>, gather_stage<Dataset>, sample_stages<Dataset>>;

 public:
  using cell = typename stage_context<Dataset>::cell;

  /// `skipped`: positions of steps that were handed out before; sorted.
  loader_run(std::shared_ptr<loader_shared<Dataset>> shared, scheduler& where, const batch_plan& plan,
             std::uint64_t epoch, std::uint64_t position, std::vector<std::uint64_t> skipped)
      : plan_(plan),
        position_(position),
        skipped_(std::move(skipped)),
        context_(std::move(shared), where, sample_keys{plan.options().seed, epoch}),
        stages_(context_) {}
  loader_run(const loader_run&) = delete;
  loader_run& operator=(const loader_run&) = delete;

  /// The whole of it; the run lives as long as the task.
  static task<> work(std::shared_ptr<loader_run> run) {
    std::exception_ptr failure;
    try {
      auto stages = with_scope(&loader_run::start, run.get());
      co_await std::move(stages);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) run->context_.cells.fail(std::move(failure));
  }

  /// The next batch's cell: in order, or any that is ready; null: none yet. Throws where a stage broke off, for want of
  /// memory.
  cell* take() { return context_.cells.take(); }
  /// Set when `take` may have something new. To be reset before `take` is asked.
  event& ready() noexcept { return context_.cells.ready(); }
  /// A cell that `take` gave is not used any more.
  void give_back(cell& c) noexcept {
    context_.bytes.drop(c.charged);
    context_.cells.give_back(c);
    context_.bytes.tell();
  }
  const stage_times& times() const noexcept { return context_.times; }

 private:
  static task<> start(scope& stages, loader_run* run) {
    spawn(stages, &loader_run::index, run);
    run->stages_.start(stages);
    co_await stages.join();
  }

  static task<> index(loader_run* run) {
    loader_cells<cell>& cells = run->context_.cells;
    std::uint64_t position = run->position_;
    const std::uint64_t steps = run->plan_.steps(position);
    for (std::uint64_t step = 0; step < steps; ++step) {
      const std::uint64_t here = position;
      position = run->plan_.after(position);
      if (std::binary_search(run->skipped_.begin(), run->skipped_.end(), here)) continue;
      std::vector<std::uint64_t> samples = run->plan_.batch_at(run->context_.keys.epoch, here);
      if (samples.empty()) break;  // an exact plan's last step may have nothing for this rank
      co_await cells.await_unused();
      auto admitting = stages_type::admit(&run->stages_, &cells.fresh(here, std::move(samples)));
      co_await std::move(admitting);
    }
    run->stages_.close();
  }

  const batch_plan plan_;
  const std::uint64_t position_;
  const std::vector<std::uint64_t> skipped_;
  stage_context<Dataset> context_;
  stages_type stages_;
};

}  // namespace detail
DTASK_END
