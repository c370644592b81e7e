// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/batch_plan.hpp"

DTASK_BEGIN

/// Where a loader stands: everything that is needed to go on from there, on as many ranks as one likes. It travels as
/// an argument or result of jobs, and its fields are whole numbers for a checkpoint in any format.
///
/// Batches that were loaded ahead and not handed out do not count.
struct loader_state {
  std::uint32_t version = 1;      ///< of this layout and of the order it stands for
  std::uint64_t samples = 0;      ///< of the dataset
  std::uint64_t fingerprint = 0;  ///< of the dataset
  std::uint64_t seed = 0;         ///< of the order and of the augmentation
  std::uint64_t epoch = 0;        ///< that it is in
  std::uint64_t position = 0;     ///< in the epoch's order, in samples of all ranks; `samples`: the epoch is over
  bool shuffle = true;            ///< whether the order is shuffled
  std::uint64_t batch = 1;        ///< of the loader whose state it is; the one that goes on may have another
  std::uint64_t ranks = 1;        ///< the same
  /// Positions of steps beyond `position` that an unordered loader has handed out; at most as many as it loads ahead.
  std::vector<std::uint64_t> ahead;
  /// Compares member by member.

  friend bool operator==(const loader_state&, const loader_state&) = default;
};

/// Throws where a loader with this plan, on a dataset with this fingerprint, cannot go on from `state`:
/// `error(invalid_argument)` for another dataset, another version, a position beyond the end or inside no step, and
/// steps that were handed out out of order under another batch or number of ranks.
inline void check_restorable(const loader_state& state, const batch_plan& plan, std::uint64_t fingerprint) {
  const auto refuse = [](std::string cause, std::string remedy) {
    throw error(errc::invalid_argument, "the loader cannot go on from this state: " + std::move(cause), "loader state",
                std::move(remedy));
  };
  const batch_plan_options& mine = plan.options();
  if (state.version != loader_state().version)
    refuse("it has version " + std::to_string(state.version) + ", not " + std::to_string(loader_state().version),
           "use the version of dtask that wrote it");
  if (state.samples != mine.samples)
    refuse("it belongs to a dataset of " + std::to_string(state.samples) + " samples, this one has " +
               std::to_string(mine.samples),
           "load the dataset it was made with, or begin anew");
  if (state.fingerprint != fingerprint)
    refuse("it belongs to another dataset of the same size", "load the dataset it was made with, or begin anew");
  if (state.position > state.samples)
    refuse("position " + std::to_string(state.position) + " of " + std::to_string(state.samples) + " samples",
           "the state is damaged");
  if (state.ahead.empty()) return;
  if (state.batch != mine.batch || state.ranks != mine.ranks)
    refuse("steps were handed out out of order, of " + std::to_string(state.batch) + " samples on " +
               std::to_string(state.ranks) + " ranks",
           "use the same batch and ranks, or load in order");
  const std::uint64_t step = plan.step_size();
  for (const std::uint64_t at : state.ahead)
    if (at <= state.position || at >= state.samples || (at - state.position) % step != 0)
      refuse("a step that was handed out at " + std::to_string(at), "the state is damaged");
}

DTASK_END
