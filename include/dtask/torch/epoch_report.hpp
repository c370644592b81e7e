// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/torch/tally.hpp"

DTASK_BEGIN

/// What one epoch of a training was. Of an epoch in whose midst a training was resumed, it counts what came afterwards.
struct epoch_report {
  std::int64_t number = 0;   ///< from 1
  double loss = 0;           ///< mean over the samples of the epoch, as they were trained on
  tally trained;             ///< what the recipe counted meanwhile
  double held_out_loss = 0;  ///< mean over the held-out samples, with the weights after the epoch
  tally held_out;            ///< what the recipe counted there: every sample once
  double rate = 0;           ///< factor of the learning rate in the last step

  std::int64_t rounds = 0;         ///< that were whole
  std::int64_t samples = 0;        ///< of all ranks
  double seconds = 0;              ///< of the training rounds
  double evaluation_seconds = 0;   ///< of the evaluation
  double stall_seconds = 0;        ///< that parts waited for their batches, summed over ranks
  std::uint64_t bytes = 0;         ///< states sent and parts received, by their own sizes
  std::int64_t parts_again = 0;    ///< parts that were done again after a loss
  std::int64_t ranks_dropped = 0;  ///< parts that rounds went on without
  std::uint64_t padded = 0;        ///< samples that came twice, to fill the last step
  std::uint64_t left_out = 0;      ///< samples that filled no step
  std::uint64_t bad_samples = 0;   ///< that could not be used, held-out ones included
  std::vector<std::string> bad;    ///< the first of them, with their reasons
  std::string checkpoint;          ///< the file that holds this state; empty: none was asked for

  /// Whether the same seed gives the same bytes again; else `why_not` says why not.
  bool reproducible = true;
  std::vector<std::string> why_not;  ///< each reason once, in words; empty where it does

  /// Samples of all ranks per second of the training rounds; 0 where there were none.
  double images_per_second() const noexcept { return seconds > 0 ? static_cast<double>(samples) / seconds : 0; }
};

DTASK_END
