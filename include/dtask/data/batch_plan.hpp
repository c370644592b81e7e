// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/permutation.hpp"

DTASK_BEGIN

/// What becomes of the samples at the end of an epoch that fill no whole step.
enum class uneven : std::uint8_t {
  pad = 0,    ///< the step is filled up from the beginning of the order: some samples come twice
  drop = 1,   ///< they are left out
  exact = 2,  ///< every sample once: the last batches are smaller, by ranks at most one sample apart; for evaluation
};

/// The name as written here.
constexpr const char* to_string(uneven rest) noexcept {
  return rest == uneven::pad ? "pad" : rest == uneven::drop ? "drop" : "exact";
}

/// How the samples of a dataset are cut into batches.
struct batch_plan_options {
  std::uint64_t samples = 0;  ///< of the dataset, at least 1
  std::uint64_t batch = 1;    ///< samples in a batch of one rank
  std::uint64_t ranks = 1;    ///< among how many a step is divided
  std::uint64_t rank = 0;     ///< whose batches: below `ranks`
  bool shuffle = true;        ///< a new order in every epoch; false: that of the dataset
  std::uint64_t seed = 0;     ///< of the order
  uneven rest = uneven::pad;  ///< what becomes of an incomplete step
};

/// Which samples each batch holds: a pure function of (seed, epoch, position, rank).
///
/// An epoch is one order of all samples, a keyed permutation of (seed, epoch). A step is the next `batch * ranks`
/// samples of it, and a rank's batch a slice of the step: for one product of the two, what all ranks get together is
/// the same whatever the number of ranks. With `pad` and `drop` every rank gets the same number of batches, all of the
/// same size. Positions count samples of the order; nothing is stored, and any position is reached at once. Copied
/// freely; thread-safe.
class batch_plan {
 public:
  /// Throws `error(invalid_argument)` for no samples, batches of nothing, a rank that does not exist, or, with `drop`,
  /// fewer samples than one step takes.
  explicit batch_plan(const batch_plan_options& options) : options_(options) {
    const auto refuse = [](std::string cause, std::string remedy) {
      throw error(errc::invalid_argument, std::move(cause), "batch plan", std::move(remedy));
    };
    if (options.samples == 0) refuse("the dataset has no samples", "check its files");
    if (options.batch == 0 || options.ranks == 0) refuse("a batch of no samples, or no ranks", "both are at least 1");
    if (options.rank >= options.ranks)
      refuse("rank " + std::to_string(options.rank) + " of " + std::to_string(options.ranks), "ranks count from 0");
    if (options.batch > largest / options.ranks || options.samples > largest)
      refuse("more than 2^62 samples in a step or a dataset", "choose smaller ones");
    if (options.rest == uneven::drop && options.samples < step_size())
      refuse(std::to_string(options.samples) + " samples do not fill one step of " + std::to_string(step_size()) +
                 " (batch " + std::to_string(options.batch) + ", " + std::to_string(options.ranks) + " ranks)",
             "a smaller batch, fewer ranks, or uneven::pad");
  }

  const batch_plan_options& options() const noexcept { return options_; }  ///< as they were given
  /// Samples of all ranks together in a whole step.
  std::uint64_t step_size() const noexcept { return options_.batch * options_.ranks; }

  /// How many steps there are from a position of the order, at most `samples`, to the end of the epoch. The same for
  /// all ranks but for `exact`, where a rank's last batch may be empty.
  std::uint64_t steps(std::uint64_t from = 0) const noexcept {
    const std::uint64_t left = options_.samples - from;
    return options_.rest == uneven::drop ? left / step_size() : (left + step_size() - 1) / step_size();
  }
  /// How many samples, of all ranks together, come twice in the steps from a position on.
  std::uint64_t padded(std::uint64_t from = 0) const noexcept {
    return options_.rest == uneven::pad ? steps(from) * step_size() - (options_.samples - from) : 0;
  }
  /// How many samples, of all ranks together, are left out.
  std::uint64_t dropped(std::uint64_t from = 0) const noexcept {
    return options_.rest == uneven::drop ? (options_.samples - from) % step_size() : 0;
  }
  /// Where the step after the one at `position` begins; `samples` where there is none.
  std::uint64_t after(std::uint64_t position) const noexcept {
    if (steps(position) <= 1) return options_.samples;
    return position + step_size();
  }

  /// The samples of this rank's batch in the step that begins at `position` of `epoch`'s order. Empty at the end of
  /// the epoch, and with `exact` where the last step holds fewer samples than there are ranks.
  std::vector<std::uint64_t> batch_at(std::uint64_t epoch, std::uint64_t position) const {
    std::vector<std::uint64_t> batch;
    if (steps(position) == 0) return batch;
    std::uint64_t begin = position + options_.rank * options_.batch, end = begin + options_.batch;
    const std::uint64_t left = options_.samples - position;
    if (options_.rest == uneven::exact && left < step_size()) {
      begin = position + share(left, options_.rank);
      end = position + share(left, options_.rank + 1);
    }
    batch.resize(static_cast<std::size_t>(end - begin));
    const std::uint64_t samples = options_.samples;
    if (begin >= samples) begin %= samples;
    if (!options_.shuffle) {
      for (std::uint64_t& sample : batch) {
        sample = begin;
        if (++begin == samples) begin = 0;
      }
      return batch;
    }
    const permutation order(samples, options_.seed, epoch);
    for (std::uint64_t& sample : batch) {
      sample = order[begin];
      if (++begin == samples) begin = 0;
    }
    return batch;
  }

 private:
  static constexpr std::uint64_t largest = std::uint64_t{1} << 62;
  /// Where the part of `rank` begins when `count` samples, fewer than a step, are divided.
  std::uint64_t share(std::uint64_t count, std::uint64_t rank) const noexcept {
    return count / options_.ranks * rank + std::min(count % options_.ranks, rank);
  }
  batch_plan_options options_;
};

DTASK_END
