// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/types.h>
#include <torch/version.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/torch/flat_tensors.hpp"

DTASK_BEGIN

/// The version of the LibTorch with which this program was compiled: "2.11.0".
inline constexpr std::string_view libtorch_version = TORCH_VERSION;

/// One kind of tensor that an optimizer keeps per parameter: "momentum_buffer", "exp_avg".
struct optimizer_slot {
  std::string name;                   ///< as LibTorch spells it: "momentum_buffer", "exp_avg"
  std::vector<std::uint8_t> present;  ///< per parameter of the model, in its order: 1 where the optimizer keeps one
  std::vector<at::Tensor> segments;   ///< of the layout of the parameters that are present (see `flat_tensors`)
};

/// What an optimizer remembers, by the model's parameters. Options (the learning rate, betas) are the recipe's and not
/// in it.
struct optimizer_state {
  std::string kind;                   ///< "SGD", "Adam", "AdamW", "RMSprop", "Adagrad"; empty: nothing is remembered
  std::vector<optimizer_slot> slots;  ///< one for each kind of tensor that it keeps
  std::vector<std::int64_t> steps;    ///< per parameter of the model: steps done; -1 where nothing is remembered
};

/// How far a training is.
struct training_counters {
  std::int64_t epoch = 0;    ///< whole passes over the data that are done
  std::int64_t round = 0;    ///< rounds done since the beginning
  std::int64_t steps = 0;    ///< optimizer steps of one rank since the beginning
  std::int64_t samples = 0;  ///< samples of all ranks since the beginning
  /// Compares member by member.
  friend bool operator==(const training_counters&, const training_counters&) = default;
};

/// A model between two rounds: what travels to the workers, what comes back, and what rests in a checkpoint.
///
/// It is an ordinary argument or result of a job. Parameters, buffers and optimizer state lie in few segments, which
/// travel out of band, so that nothing is copied: they must not be written to until the call has ended, and what was
/// received is for reading. Copying a state shares its tensors.
struct training_state {
  flat_tensors parameters;     ///< the weights
  flat_tensors buffers;        ///< running means, counters
  optimizer_state optimizer;   ///< what it remembers
  training_counters counters;  ///< how far the training is
  std::string libtorch;        ///< by which version it was made
};

/// Throws `error(errc::invalid_argument)` where a state was made by another version of LibTorch than this program's,
/// whose kernels may give other numbers. `place`: where it was found, or empty.
inline void require_same_libtorch(const training_state& state, std::string place = {}) {
  if (state.libtorch != libtorch_version)
    throw error(errc::invalid_argument,
                "the model's state was made with LibTorch " + (state.libtorch.empty() ? "?" : state.libtorch) +
                    ", and this program has " + std::string(libtorch_version),
                std::move(place), "build trainer and workers with one version");
}

DTASK_END
