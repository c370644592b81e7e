// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/torch/detail/training_part.hpp"
#include "dtask/torch/training_options.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN
namespace detail {

/// The way of a training through its data: what the workers have found there, and how far the epoch is. Before `plan`
/// it has no length. `options` outlive it.
class training_course {
 public:
  explicit training_course(const training_options& options) noexcept : options_(options) {}

  /// The data are as `worker` found them. `batch`: samples of a batch of one rank. Throws `error(invalid_argument)`
  /// where they are too few for the ranks.
  void plan(const part_answer& found, const std::string& worker, std::int64_t batch) {
    batch_plan_options o;
    o.samples = found.train_size;
    o.batch = static_cast<std::uint64_t>(batch);
    o.ranks = static_cast<std::uint64_t>(options_.ranks);
    o.seed = options_.seed;
    o.rest = options_.rest;
    if (found.train_size < o.ranks || found.test_size == 0)
      throw error(errc::invalid_argument,
                  std::to_string(found.train_size) + " samples to train on and " + std::to_string(found.test_size) +
                      " held out, for " + std::to_string(o.ranks) + " ranks",
                  worker, "every rank needs samples: check the recipe's data, or use fewer ranks");
    batches_.emplace(o);
    train_fingerprint_ = found.train_fingerprint;
    test_fingerprint_ = found.test_fingerprint;
    steps_per_epoch_ = static_cast<std::int64_t>(steps_of(batches_->steps()));
  }
  /// Throws `error(invalid_argument)` where a part was made with other data.
  void require_same_data(const part_order& what, std::int32_t rank, const part_answer& answer,
                         const std::string& worker) const {
    const bool train = what.kind != part_kind::evaluate && answer.train_fingerprint != train_fingerprint_;
    const bool test = what.kind != part_kind::train && answer.test_fingerprint != test_fingerprint_;
    if (train || test)
      throw error(errc::invalid_argument,
                  std::string("the worker's ") + (train ? "training" : "held-out") + " data is not that of the others",
                  part_place(what, rank, worker), "give all workers the same files");
  }

  std::int64_t steps_per_epoch() const noexcept { return steps_per_epoch_; }
  std::int64_t total_steps() const noexcept { return steps_per_epoch_ * options_.epochs; }
  std::uint64_t padded() const noexcept { return batches_->padded(); }
  std::uint64_t left_out() const noexcept { return batches_->dropped(); }
  std::uint64_t train_fingerprint() const noexcept { return train_fingerprint_; }

  std::uint64_t position() const noexcept { return position_; }  ///< in the epoch's order
  bool epoch_is_over() const noexcept { return batches_->steps(position_) == 0; }
  /// Batches of each rank in the round that begins here.
  std::uint64_t round_batches() const noexcept {
    const std::uint64_t left = batches_->steps(position_);
    return options_.strategy.batches == 0 ? left
                                          : std::min(left, static_cast<std::uint64_t>(options_.strategy.batches));
  }
  /// So many batches of each rank are done.
  void go_on(std::uint64_t batches) noexcept {
    for (std::uint64_t i = 0; i < batches; ++i) position_ = batches_->after(position_);
  }
  void begin_epoch() noexcept { position_ = 0; }
  /// Where the epoch goes on follows from the steps that are done.
  void go_to(const training_counters& done) noexcept {
    const std::int64_t steps = done.steps - done.epoch * steps_per_epoch_;
    std::int64_t batches = options_.strategy.is_local() ? steps : steps * options_.strategy.batches;
    for (position_ = 0; batches > 0 && !epoch_is_over(); --batches) position_ = batches_->after(position_);
  }

 private:
  /// Optimizer steps in so many batches of each rank.
  std::uint64_t steps_of(std::uint64_t batches) const noexcept {
    if (options_.strategy.is_local()) return batches;
    const auto each = static_cast<std::uint64_t>(options_.strategy.batches);
    return (batches + each - 1) / each;
  }

  const training_options& options_;
  std::optional<batch_plan> batches_;
  std::uint64_t position_ = 0;
  std::int64_t steps_per_epoch_ = 0;
  std::uint64_t train_fingerprint_ = 0, test_fingerprint_ = 0;
};

}  // namespace detail
DTASK_END
