// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// What a loader has done in the epoch that it is in, since it was started or restored there.
struct loader_report {
  /// A sample that was left out.
  struct bad {
    std::uint64_t sample = 0;  ///< its number in the dataset
    std::string source;        ///< what the dataset calls it: a file
    std::string reason;        ///< why it could not be used
  };
  /// The most of them that are named; all are counted.
  static constexpr std::size_t most_named = 1000;

  std::uint64_t epoch = 0;    ///< that all of this is about
  std::uint64_t images = 0;   ///< samples handed out
  std::uint64_t batches = 0;  ///< handed out
  double seconds = 0;         ///< from the first call of `next()` to the return of the last
  double stall_seconds = 0;   ///< of these, spent in `next()`: the consumer waited
  /// Time inside the dataset's `read` or `get`, summed over those that ran at once, waits for files included.
  double read_seconds = 0;
  double decode_seconds = 0;       ///< the same of `decode`
  double collate_seconds = 0;      ///< the same of `collate`
  double gather_seconds = 0;       ///< the same of `gather`
  std::uint64_t peak_bytes = 0;    ///< the most that was counted ahead of the consumer
  std::uint64_t bad_samples = 0;   ///< left out
  std::vector<bad> named;          ///< the first of them
  std::uint64_t lost_batches = 0;  ///< not handed out since all of their samples were bad
  std::uint64_t padded = 0;        ///< samples of all ranks together that come twice in what was planned
  std::uint64_t dropped = 0;       ///< samples of all ranks together that are left out of it

  /// Samples handed out per second of `seconds`; 0 where that is 0.
  double images_per_second() const noexcept { return seconds > 0 ? static_cast<double>(images) / seconds : 0; }
};

DTASK_END
