// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/data/detail/loader_cell.hpp"
#include "dtask/data/loader_report.hpp"
#include "dtask/data/loader_state.hpp"

DTASK_BEGIN
namespace detail {

/// Where a loader stands in an epoch, and what it has handed out there. One task at a time uses it.
struct loader_progress {
  std::uint64_t epoch = 0;
  std::uint64_t position = 0;
  std::vector<std::uint64_t> ahead;  ///< sorted positions of steps beyond that were handed out
  loader_report report;

  /// Another place, where nothing has been done yet.
  void go_to(const batch_plan& plan, std::uint64_t to_epoch, std::uint64_t to_position,
             std::vector<std::uint64_t> handed_out) {
    epoch = to_epoch;
    position = to_position;
    ahead = std::move(handed_out);
    report = loader_report();
    report.epoch = epoch;
    report.padded = plan.padded(position);
    report.dropped = plan.dropped(position);
  }
  /// Batches that are left, see `data_loader::steps`.
  std::uint64_t steps(const batch_plan& plan) const noexcept {
    const std::uint64_t left = plan.steps(position) - ahead.size();
    if (plan.options().rest != uneven::exact || left == 0) return left;
    const std::uint64_t last = position + (plan.steps(position) - 1) * plan.step_size();
    return plan.options().samples - last > plan.options().rank ? left : left - 1;
  }
  /// The step at `at` is done with.
  void advance(const batch_plan& plan, std::uint64_t at) {
    if (at != position) {
      ahead.insert(std::upper_bound(ahead.begin(), ahead.end(), at), at);
      return;
    }
    position = plan.after(position);
    while (!ahead.empty() && ahead.front() == position) {
      ahead.erase(ahead.begin());
      position = plan.after(position);
    }
  }
  /// The end of the epoch. An exact plan's last step may have had nothing for this rank: only the call that finds
  /// nothing counts it, so that after as many calls all ranks stand at the same position.
  void finish(const batch_plan& plan) noexcept {
    position = plan.options().samples;
    ahead.clear();
  }
  /// Counts the bad samples of a batch; throws for one more than `limit`, and then counts none of them.
  void count_bad(std::vector<sample_failure>& failures, std::uint64_t limit) {
    if (failures.empty()) return;
    std::sort(failures.begin(), failures.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    if (report.bad_samples + failures.size() > limit) {
      const auto& over = failures[static_cast<std::size_t>(limit - report.bad_samples)];
      throw error(over.why.code(), over.why.cause(), over.why.place(),
                  limit == 0 ? "mend or remove it, or let the loader leave out bad samples (bad_samples)"
                             : "it is one more than the limit of " + std::to_string(limit) + " (bad_samples)");
    }
    report.bad_samples += failures.size();
    for (const auto& f : failures)
      if (report.named.size() < loader_report::most_named)
        report.named.push_back({f.sample, f.why.place(), f.why.cause()});
  }
  /// Counts a step: `images` in a batch that was handed out, or in none.
  void count(bool batch, std::uint64_t images) noexcept {
    report.images += images;
    ++(batch ? report.batches : report.lost_batches);
  }
  /// The place as it is kept.
  loader_state state(const batch_plan& plan, std::uint64_t fingerprint) const {
    const batch_plan_options& p = plan.options();
    loader_state at;
    at.samples = p.samples;
    at.fingerprint = fingerprint;
    at.seed = p.seed;
    at.epoch = epoch;
    at.position = position;
    at.shuffle = p.shuffle;
    at.batch = p.batch;
    at.ranks = p.ranks;
    at.ahead = ahead;
    return at;
  }
};

}  // namespace detail
DTASK_END
