// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/torch/learning_rate.hpp"
#include "dtask/torch/strategy.hpp"
#include "dtask/torch/tally.hpp"
#include "dtask/torch/tensor_codec.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN
namespace detail {

/// What stays the same for all parts of a training: broadcast once.
template <class Recipe>
struct training_plan {
  Recipe recipe;
  strategy how;
  std::int32_t ranks = 1;
  std::uint64_t seed = 0;
  std::uint8_t rest = 0;
  learning_rate rate;
  double clip_norm = 0;
  bool bf16 = false;
  std::int32_t threads = 1;
  std::int64_t evaluation_batch = 1;
  std::uint64_t bad_samples = 0;
};

enum class part_kind : std::uint8_t { survey, train, evaluate };

/// One part of a round.
struct part_order {
  std::string run;  ///< the names of the training's broadcasts begin with it
  part_kind kind = part_kind::survey;
  std::int64_t epoch = 0;
  std::int64_t round = 0;  ///< of which the state must be
  std::int32_t rank = 0;
  std::uint64_t position = 0;  ///< of the epoch's order, where the round begins
  std::int64_t batches = 0;
  std::int64_t step = 0;         ///< of the training, where the round begins
  std::int64_t total_steps = 0;  ///< of the training
};

/// What a part gives back; what it has nothing to say about stays empty.
struct part_answer {
  std::vector<at::Tensor> gradients;
  training_state state;
  std::int64_t samples = 0;
  double loss = 0;  ///< summed over the samples
  tally counted;
  double rate = 0;
  double stall_seconds = 0;
  std::uint64_t bad_samples = 0;
  std::vector<std::string> bad;
  std::string processor;
  bool random_disturbed = false;
  std::uint64_t train_size = 0, train_fingerprint = 0, test_size = 0, test_fingerprint = 0;
};

/// A part that has ended well.
struct ended_part {
  std::int32_t rank = 0;
  std::string worker;
  part_answer answer;
};

/// Which part it is, for errors. `worker`: where it ran; empty: nobody knows.
inline std::string part_place(const part_order& of, std::int32_t rank, const std::string& worker) {
  return "epoch " + std::to_string(of.epoch + 1) + ", round " + std::to_string(of.round + 1) + ", rank " +
         std::to_string(rank) + (worker.empty() ? std::string() : ", worker " + worker);
}

}  // namespace detail
DTASK_END
