// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/torch/detail/elements.hpp"

DTASK_BEGIN

/// An exponential moving average of a model's weights, over its segments: average = decay x average + (1 - decay) x
/// weights, beginning with the first weights themselves. What is evaluated is often better than the last weights
/// (arXiv 1803.05407 has the plain mean).
///
/// Not thread-safe.
class weight_average {
 public:
  /// `decay`: of one update, in [0, 1); else throws `error(errc::invalid_argument)`.
  explicit weight_average(double decay) : decay_(decay) {
    if (!(decay >= 0 && decay < 1))
      throw error(errc::invalid_argument, "the decay of a moving average of weights is in [0, 1)");
  }

  /// Takes in the weights of now. `weights`: the segments of a `flat_model` or a `training_state`; they are not
  /// kept. Of other than floating types, the last ones count. Throws `error(errc::invalid_argument)` for segments of
  /// another form than the first.
  void update(const std::vector<at::Tensor>& weights) {
    const at::NoGradGuard guard;
    if (segments_.empty()) {
      for (const at::Tensor& p : weights) segments_.push_back(p.detach().clone());
      return;
    }
    require_form(weights);
    for (std::size_t s = 0; s < weights.size(); ++s) {
      const at::Tensor plain = weights[s].detach().contiguous();
      at::Tensor& average = segments_[s];
      if (!plain.is_floating_point()) {
        average.copy_(plain);
        continue;
      }
      detail::with_floating(plain.scalar_type(), [&]<class T>(T) {
        const T* const from = plain.template const_data_ptr<T>();
        T* const to = average.template mutable_data_ptr<T>();
        at::parallel_for(0, plain.numel(), 1 << 15, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) {
            const double old = static_cast<double>(to[i]);
            to[i] = detail::rounded<T>(old + (static_cast<double>(from[i]) - old) * (1 - decay_));
          }
        });
      });
    }
  }

  double decay() const noexcept { return decay_; }  ///< of one update
  /// The average, in segments like those of the weights; empty before the first update. They change with the next one:
  /// `clone()` what is to rest or travel.
  const std::vector<at::Tensor>& segments() const noexcept { return segments_; }
  /// Goes on from segments that a checkpoint kept, which are copied; none begin anew.
  void restore(const std::vector<at::Tensor>& segments) {
    segments_.clear();
    for (const at::Tensor& s : segments) segments_.push_back(s.clone());
  }

 private:
  void require_form(const std::vector<at::Tensor>& weights) const {
    bool same = weights.size() == segments_.size();
    for (std::size_t s = 0; same && s < weights.size(); ++s)
      same = weights[s].scalar_type() == segments_[s].scalar_type() && weights[s].sizes() == segments_[s].sizes();
    if (!same)
      throw error(errc::invalid_argument, "weights of another form than those that were averaged so far", {},
                  "average the weights of one model");
  }

  double decay_;
  std::vector<at::Tensor> segments_;
};

DTASK_END
