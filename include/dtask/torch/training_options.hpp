// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/batch_plan.hpp"
#include "dtask/torch/learning_rate.hpp"
#include "dtask/torch/strategy.hpp"

DTASK_BEGIN

/// What a round does where a worker is lost with a part of it.
enum class on_loss : std::uint8_t {
  rerun,  ///< the part is done again on another worker: the same bytes as undisturbed
  drop    ///< the round goes on with the parts of the others
};

/// How a `trainer` trains.
struct training_options {
  dtask::strategy strategy = sync();  ///< what a round is
  std::int32_t ranks = 1;             ///< parts of a round; any number of workers serves them
  std::int64_t epochs = 1;            ///< passes over the training data
  std::uint64_t seed = 0;     ///< of the first weights, the order of the data, its augmentation and random layers
  uneven rest = uneven::pad;  ///< what becomes of samples that fill no whole step; `pad` or `drop`
  learning_rate rate{};      ///< factor of the optimizer's own rate over progress; a recipe's `rate(double)` goes first
  double clip_norm = 0;      ///< the largest norm of a step's gradient; 0: any
  double average_decay = 0;  ///< of a moving average of the weights, which is what is evaluated; 0: none
  bool bf16 = false;         ///< forward passes under autocast to bfloat16
  int threads = 1;           ///< of one operation, in a part and in the trainer; results depend on it

  dtask::on_loss on_loss = on_loss::rerun;             ///< what a round does where a worker is lost with a part of it
  std::int32_t min_ranks = 1;                          ///< with `drop`: fewer parts than this are an error
  duration round_within = no_deadline;                 ///< of a part; with `drop` one that takes longer is dropped
  duration no_worker_after = std::chrono::minutes(5);  ///< without any worker for this long the training ends
  std::int64_t evaluation_batch = 250;                 ///< samples of a batch of the held-out data
  std::uint64_t bad_samples = 0;                       ///< that a rank may skip in an epoch

  std::string checkpoints{};           ///< folder; empty: none are written
  std::int64_t checkpoint_rounds = 0;  ///< also after so many rounds; 0: after each epoch only
  std::int32_t keep = 3;               ///< that many are kept
  bool resume = false;                 ///< go on from the newest whole one in `checkpoints`, where there is one
};

/// Throws `error(errc::invalid_argument)` for options that contradict themselves.
inline void check_training_options(const training_options& o) {
  const auto refuse = [](std::string cause, std::string remedy) {
    throw error(errc::invalid_argument, std::move(cause), "training options", std::move(remedy));
  };
  if (o.ranks < 1 || o.ranks > 4096) refuse(std::to_string(o.ranks) + " ranks", "1 to 4096");
  if (o.epochs < 1) refuse(std::to_string(o.epochs) + " epochs", "at least 1");
  if (o.rest == uneven::exact) refuse("uneven::exact divides an epoch for evaluation only", "use pad or drop");
  if (o.threads < 1 || o.threads > 4096) refuse(std::to_string(o.threads) + " threads", "1 to 4096");
  if (!(o.clip_norm >= 0)) refuse("a negative clip_norm", "0 for none");
  if (!(o.average_decay >= 0 && o.average_decay < 1)) refuse("an average_decay outside [0, 1)", "0 for none");
  if (o.min_ranks < 1 || o.min_ranks > o.ranks)
    refuse("min_ranks is " + std::to_string(o.min_ranks) + " of " + std::to_string(o.ranks), "1 to ranks");
  if (o.evaluation_batch < 1) refuse("an evaluation_batch of nothing", "at least 1");
  if (o.keep < 1 || o.checkpoint_rounds < 0) refuse("keep or checkpoint_rounds", "keep at least 1, rounds at least 0");
  if (o.resume && o.checkpoints.empty()) refuse("resume without a folder of checkpoints", "set checkpoints");
}

DTASK_END
