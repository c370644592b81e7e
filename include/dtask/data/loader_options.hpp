// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/task/scheduler.hpp"

DTASK_BEGIN

/// How a `data_loader` cuts a dataset into batches and how much it does ahead.
struct loader_options {
  std::uint64_t batch = 32;   ///< samples in a batch of this rank
  bool shuffle = true;        ///< a new order in every epoch; false: that of the dataset
  std::uint64_t seed = 0;     ///< of the order and of the augmentation
  std::uint64_t ranks = 1;    ///< among how many loaders a step is divided
  std::uint64_t rank = 0;     ///< which of them this is: below `ranks`
  uneven rest = uneven::pad;  ///< what becomes of the samples that fill no whole step

  std::size_t prefetch = 4;  ///< the most batches that are under way or ready, at least 1
  /// The most bytes that they hold. Until its own size is known a sample counts as what the dataset expects of it
  /// (`expected_bytes`), else as the largest that was seen, so that the first batch is loaded alone; the next one to be
  /// handed out is loaded whatever its size.
  std::uint64_t max_bytes = std::uint64_t{512} << 20;
  std::size_t read_concurrency = 8;    ///< reads at a time; gathers at a time for datasets that fill whole batches
  std::size_t decode_concurrency = 0;  ///< samples that are decoded at a time; 0: one per core
  /// Batches come in the order of the plan. False: as they are ready; each still holds the same samples.
  bool ordered = true;
  /// How many bad samples of an epoch are left out; one more is an error.
  std::uint64_t bad_samples = 0;
  /// Where the stages run; it outlives the loader. Null: `work_pool::shared()`.
  dtask::scheduler* scheduler = nullptr;
};
static_assert(std::is_trivially_destructible_v<loader_options>);

DTASK_END
