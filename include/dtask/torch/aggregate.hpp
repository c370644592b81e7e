// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/torch/detail/elements.hpp"
#include "dtask/torch/flat_tensors.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN

// What ends a round: pure functions of what the ranks returned. Parts stand in rank order; ranks that were dropped are
// simply not among them. Every element is computed in double, rank after rank, and rounded once: the result depends on
// the parts alone, not on threads or on who came first. Errors: `errc::invalid_argument` where parts do not belong
// together; the rank is named.

/// What a rank returns from a synchronous step.
struct gradient_part {
  std::int32_t rank = 0;              ///< whose part it is, from 0
  std::int64_t samples = 0;           ///< over how many samples the gradients are summed
  std::vector<at::Tensor> gradients;  ///< `flat_model::gradients()` of the summed loss
};
/// What a rank returns from a round of local steps.
struct state_part {
  std::int32_t rank = 0;     ///< whose part it is, from 0
  std::int64_t samples = 0;  ///< on how many samples it was trained in this round
  training_state state;      ///< the rank's model after its steps
};

/// What becomes of the ranks' own optimizer states at the end of a round.
enum class optimizer_merge : std::uint8_t {
  average,  ///< averaged like the parameters
  reset     ///< forgotten: the next round begins anew
};

/// DiLoCo's outer optimizer: SGD with Nesterov momentum on the averaged change (arXiv 2311.08105; the defaults are the
/// paper's).
struct diloco_options {
  double rate = 0.7;      ///< learning rate of the outer step
  double momentum = 0.9;  ///< of the outer step
};

namespace detail {

template <class Part>
std::string rank_place(const Part& part) {
  return "rank " + std::to_string(part.rank);
}

/// The parts with samples; throws where nothing is left, ranks repeat or stand in another order.
template <class Part>
std::vector<const Part*> parts_that_count(const std::vector<Part>& parts) {
  std::vector<const Part*> out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0 && parts[i].rank <= parts[i - 1].rank)
      throw error(errc::invalid_argument, "the parts of a round do not stand in rank order, or one came twice",
                  rank_place(parts[i]));
    if (parts[i].samples < 0) throw error(errc::invalid_argument, "a negative number of samples", rank_place(parts[i]));
    if (parts[i].samples > 0) out.push_back(&parts[i]);
  }
  if (out.empty())
    throw error(errc::invalid_argument, "no rank has trained on a sample: there is nothing to aggregate", {},
                "use fewer ranks, or a larger data set");
  return out;
}

inline void require_like(const std::vector<at::Tensor>& first, const std::vector<at::Tensor>& other,
                         const std::string& place) {
  bool same = first.size() == other.size();
  for (std::size_t i = 0; same && i < first.size(); ++i) {
    const at::Tensor &a = first[i], &b = other[i];
    same = b.defined() && b.device().is_cpu() && b.dim() == 1 && b.is_contiguous() &&
           a.scalar_type() == b.scalar_type() && a.numel() == b.numel();
  }
  if (!same)
    throw error(errc::invalid_argument, "a part whose segments differ from the others'", place,
                "the ranks' models differ: use one recipe and one version");
}

inline constexpr std::int64_t elements_per_thread = 1 << 15;
/// So many at a time, rank after rank, in the first cache and by vector instructions.
inline constexpr std::int64_t elements_per_block = 512;

/// out[i] = (sum of from[r][i]) / divisor. Segments of other than floating types become empty.
inline at::Tensor sum_segments(const std::vector<const at::Tensor*>& from, double divisor) {
  at::Tensor out = at::empty_like(*from.front());
  with_floating(out.scalar_type(), [&]<class T>(T) {
    T* const to = out.mutable_data_ptr<T>();
    std::vector<const T*> at(from.size());
    for (std::size_t r = 0; r < from.size(); ++r) at[r] = from[r]->const_data_ptr<T>();
    // A product with the reciprocal of a power of two is the quotient, and costs less.
    int exponent = 0;
    const double scale = std::frexp(divisor, &exponent) == 0.5 ? 1 / divisor : 0;
    at::parallel_for(0, out.numel(), elements_per_thread, [&](std::int64_t begin, std::int64_t end) {
      double sum[elements_per_block];
      for (; begin < end; begin += elements_per_block) {
        const std::int64_t n = std::min(elements_per_block, end - begin);
        std::fill_n(sum, n, 0.0);
        for (const T* const of_rank : at)
          for (std::int64_t i = 0; i < n; ++i) sum[i] += static_cast<double>(of_rank[begin + i]);
        if (scale != 0)
          for (std::int64_t i = 0; i < n; ++i) to[begin + i] = rounded<T>(sum[i] * scale);
        else
          for (std::int64_t i = 0; i < n; ++i) to[begin + i] = rounded<T>(sum[i] / divisor);
      }
    });
  });
  return out;
}

/// The weighted mean, as a running one, so that equal values give that value and one rank gives its own. Segments of
/// other than floating types are the first rank's.
inline at::Tensor average_segments(const std::vector<const at::Tensor*>& from, const std::vector<double>& share) {
  at::Tensor out = from.front()->clone();
  if (from.size() == 1) return out;
  with_floating(out.scalar_type(), [&]<class T>(T) {
    T* const to = out.mutable_data_ptr<T>();
    std::vector<const T*> at(from.size());
    for (std::size_t r = 0; r < from.size(); ++r) at[r] = from[r]->const_data_ptr<T>();
    at::parallel_for(0, out.numel(), elements_per_thread, [&](std::int64_t begin, std::int64_t end) {
      double mean[elements_per_block];
      for (; begin < end; begin += elements_per_block) {
        const std::int64_t n = std::min(elements_per_block, end - begin);
        for (std::int64_t i = 0; i < n; ++i) mean[i] = static_cast<double>(at[0][begin + i]);
        for (std::size_t r = 1; r < at.size(); ++r)
          for (std::int64_t i = 0; i < n; ++i) mean[i] += (static_cast<double>(at[r][begin + i]) - mean[i]) * share[r];
        for (std::int64_t i = 0; i < n; ++i) to[begin + i] = rounded<T>(mean[i]);
      }
    });
  });
  return out;
}

template <class Segments>
std::vector<at::Tensor> average_all(const std::vector<const state_part*>& parts, const std::vector<double>& share,
                                    Segments segments_of) {
  std::vector<at::Tensor> out;
  for (std::size_t s = 0; s < segments_of(*parts.front()).size(); ++s) {
    std::vector<const at::Tensor*> from;
    for (const state_part* part : parts) {
      require_like(segments_of(*parts.front()), segments_of(*part), rank_place(*part));
      from.push_back(&segments_of(*part)[s]);
    }
    out.push_back(average_segments(from, share));
  }
  return out;
}

inline optimizer_state average_optimizer(const std::vector<const state_part*>& parts,
                                         const std::vector<double>& share) {
  const optimizer_state& first = parts.front()->state.optimizer;
  optimizer_state out{first.kind, {}, first.steps};
  for (const state_part* part : parts) {
    const optimizer_state& other = part->state.optimizer;
    bool same = other.kind == first.kind && other.slots.size() == first.slots.size() &&
                other.steps.size() == first.steps.size();
    for (std::size_t i = 0; same && i < first.slots.size(); ++i)
      same = other.slots[i].name == first.slots[i].name && other.slots[i].present == first.slots[i].present;
    if (!same)
      throw error(errc::invalid_argument, "an optimizer state that differs from the other ranks' in what it keeps",
                  rank_place(*part), "use one recipe on all ranks, or reset the optimizer after each round");
    for (std::size_t i = 0; i < out.steps.size(); ++i) out.steps[i] = std::max(out.steps[i], other.steps[i]);
  }
  for (std::size_t i = 0; i < first.slots.size(); ++i) {
    const auto segments = [i](const state_part& p) -> const std::vector<at::Tensor>& {
      return p.state.optimizer.slots[i].segments;
    };
    out.slots.push_back({first.slots[i].name, first.slots[i].present, average_all(parts, share, segments)});
  }
  return out;
}

inline std::vector<at::Tensor> combine_gradients(const std::vector<gradient_part>& parts, bool mean) {
  const std::vector<const gradient_part*> counted = parts_that_count(parts);
  double samples = 0;
  for (const gradient_part* part : counted) {
    require_like(counted.front()->gradients, part->gradients, rank_place(*part));
    samples += static_cast<double>(part->samples);
  }
  std::vector<at::Tensor> out;
  for (std::size_t s = 0; s < counted.front()->gradients.size(); ++s) {
    std::vector<const at::Tensor*> from;
    for (const gradient_part* part : counted) from.push_back(&part->gradients[s]);
    out.push_back(sum_segments(from, mean ? samples : 1));
  }
  return out;
}

}  // namespace detail

/// The ranks' gradients, summed.
inline std::vector<at::Tensor> sum_gradients(const std::vector<gradient_part>& parts) {
  return detail::combine_gradients(parts, false);
}
/// The ranks' gradients, summed and divided by all samples: the gradient of the mean loss over the global batch,
/// however it was split. For `flat_model::set_gradients`.
inline std::vector<at::Tensor> mean_gradients(const std::vector<gradient_part>& parts) {
  return detail::combine_gradients(parts, true);
}

/// The state after a round of local steps: parameters and floating buffers averaged by samples, other buffers those of
/// the lowest rank that is there. Of the optimizer's step counters, the largest; of `merge::reset`, nothing at all.
///
/// `base`: the state from which every rank began. Rounds count one more, samples all that were used, steps those of the
/// busiest rank. Ranks without samples have no weight. Errors: see above; also parts of another layout or LibTorch.
inline training_state average(const training_state& base, const std::vector<state_part>& parts,
                              optimizer_merge merge = optimizer_merge::average) {
  const std::vector<const state_part*> counted = detail::parts_that_count(parts);
  training_state out{base.parameters, base.buffers, {}, base.counters, base.libtorch};
  std::vector<double> share;
  double samples = 0;
  for (const state_part* part : counted) {
    require_same_libtorch(part->state, detail::rank_place(*part));
    require_same_layout(base.parameters.layout, part->state.parameters.layout, "what a rank returned",
                        detail::rank_place(*part));
    require_same_layout(base.buffers.layout, part->state.buffers.layout, "what a rank returned",
                        detail::rank_place(*part));
    detail::require_like(base.parameters.segments, part->state.parameters.segments, detail::rank_place(*part));
    detail::require_like(base.buffers.segments, part->state.buffers.segments, detail::rank_place(*part));
    samples += static_cast<double>(part->samples);
    share.push_back(static_cast<double>(part->samples) / samples);
    out.counters.steps = std::max(out.counters.steps, part->state.counters.steps);
    out.counters.samples += part->samples;
  }
  ++out.counters.round;
  const auto weights = [](const state_part& p) -> const std::vector<at::Tensor>& {
    return p.state.parameters.segments;
  };
  const auto buffers = [](const state_part& p) -> const std::vector<at::Tensor>& { return p.state.buffers.segments; };
  out.parameters.segments = detail::average_all(counted, share, weights);
  out.buffers.segments = detail::average_all(counted, share, buffers);
  if (merge == optimizer_merge::average) out.optimizer = detail::average_optimizer(counted, share);
  return out;
}

/// The state after a DiLoCo round: what the ranks changed on average is the gradient of an outer SGD with Nesterov
/// momentum. Buffers and the inner optimizer's state as `average` has them.
///
/// `momentum`: the outer optimizer's memory, in segments like the parameters'; empty before the first round. It is
/// replaced, never written to, and belongs into checkpoints, but need not travel. Errors: as of `average`, and options
/// that are not finite, a negative rate, a momentum outside [0, 1).
inline training_state diloco(const training_state& base, const std::vector<state_part>& parts,
                             std::vector<at::Tensor>& momentum, diloco_options options = {},
                             optimizer_merge merge = optimizer_merge::average) {
  if (!(options.rate >= 0 && options.rate <= 1e6) || !(options.momentum >= 0 && options.momentum < 1))
    throw error(errc::invalid_argument, "DiLoCo's outer rate is at least 0, its momentum in [0, 1)");
  training_state out = average(base, parts, merge);
  if (!momentum.empty()) detail::require_like(base.parameters.segments, momentum, "the outer optimizer's momentum");
  std::vector<at::Tensor> next;
  for (std::size_t s = 0; s < out.parameters.segments.size(); ++s) {
    const at::Tensor& before = base.parameters.segments[s];
    at::Tensor& after = out.parameters.segments[s];  // `average` made it
    at::Tensor moved = at::zeros_like(before);
    detail::with_floating(before.scalar_type(), [&]<class T>(T) {
      const T* const from = before.const_data_ptr<T>();
      const T* const old = momentum.empty() ? nullptr : momentum[s].const_data_ptr<T>();
      T* const to = after.mutable_data_ptr<T>();
      T* const memory = moved.mutable_data_ptr<T>();
      at::parallel_for(0, before.numel(), detail::elements_per_thread, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const double gradient = static_cast<double>(from[i]) - static_cast<double>(to[i]);
          const double m = (old == nullptr ? 0 : static_cast<double>(old[i])) * options.momentum + gradient;
          memory[i] = detail::rounded<T>(m);
          to[i] = detail::rounded<T>(static_cast<double>(from[i]) - options.rate * (gradient + options.momentum * m));
        }
      });
    });
    next.push_back(std::move(moved));
  }
  momentum = std::move(next);
  return out;
}

DTASK_END
