// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The jobs of the programs in this folder: what travels between them and the workers.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/job.hpp"
#include "model.hpp"

namespace recognise {

/// A few pictures, either as files or as pixels.
struct batch {
  std::vector<dtask::bytes> files;  ///< JPEG or PNG, as they lie on the disk
  dtask::bytes pixels;              ///< whole pictures in the size that the weights ask for, one after the other
};

/// What was found on one picture: classes, best first, or the reason why it is unusable.
struct answer {
  std::vector<ranked> top;
  std::string error;
};

/// Names what is on pictures. The weights are the broadcast "weights"; the network is made once per slot, on the
/// worker's device. While the device computes the thread is free: slots decode meanwhile.
struct recognise_job : dtask::job<"recognise/1", dtask::pure> {
  explicit recognise_job(dtask::worker_context& w);
  dtask::task<std::vector<answer>> operator()(dtask::job_context& ctx, const batch& in);

 private:
  std::unique_ptr<model> model_;
};

/// Two IDX files, as they lie on the disk, and how to train on them.
struct lesson {
  dtask::bytes pictures, labels;
  std::int32_t passes = 2;
  std::uint64_t seed = 1;
};
struct lesson_result {
  dtask::bytes weights;  ///< a safetensors file
  double loss = 0;
  double seconds = 0;
};

/// Trains the small network. Deterministic for its argument on one kind of machine, so it may run again after a loss.
struct train_job : dtask::job<"train/1", dtask::pure> {
  lesson_result operator()(dtask::job_context& ctx, const lesson& in) const;
};

using jobs = dtask::registry<recognise_job, train_job>;

}  // namespace recognise
