// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/torch/detail/elements.hpp"

DTASK_BEGIN

namespace detail {
inline bool is_elsewhere(const std::vector<at::Tensor>& segments) {
  return !segments.empty() && !segments.front().device().is_cpu();
}
/// On the segments' device, one element.
inline at::Tensor norm_there(const std::vector<at::Tensor>& segments) {
  const at::NoGradGuard no_gradients;
  at::Tensor total = at::zeros({}, segments.front().options().dtype(at::kDouble));
  for (const at::Tensor& segment : segments)
    if (segment.is_floating_point())
      total.add_(at::linalg_vector_norm(segment, 2, std::nullopt, false, at::kDouble).square());
  return total.sqrt();
}
/// `clip_gradient_norm` that is only enqueued: nobody waits for the norm.
inline void clip_there(const std::vector<at::Tensor>& segments, double most) {
  const at::NoGradGuard no_gradients;
  const at::Tensor norm = norm_there(segments);
  // As on the CPU: left as they are where the norm is not finite, or small enough.
  const at::Tensor factor =
      at::where(norm.isfinite().logical_and(norm.gt(most)), norm.reciprocal().mul(most), at::ones_like(norm));
  for (at::Tensor segment : segments)
    if (segment.is_floating_point()) segment.mul_(factor.to(segment.scalar_type()));
}
}  // namespace detail

/// The Euclidean norm of all gradients together. `segments`: as `flat_model::gradients()` gives them; others than
/// floating ones do not count.
///
/// Summed in double over fixed blocks in a fixed order: on the CPU the result does not depend on the number of threads.
/// Infinite or not a number where a gradient is. Waits for gradients that are on a device. Thread-safe.
inline double gradient_norm(const std::vector<at::Tensor>& segments) {
  if (detail::is_elsewhere(segments)) return detail::norm_there(segments).item<double>();
  constexpr std::int64_t block = 1 << 14;
  double total = 0;
  for (const at::Tensor& segment : segments)
    detail::with_floating(segment.scalar_type(), [&]<class T>(T) {
      const at::Tensor plain = segment.contiguous();
      const T* const from = plain.template const_data_ptr<T>();
      const std::int64_t count = plain.numel();
      std::vector<double> sums(static_cast<std::size_t>((count + block - 1) / block));
      at::parallel_for(0, static_cast<std::int64_t>(sums.size()), 4, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t b = begin; b < end; ++b) {
          double sum = 0;
          for (std::int64_t i = b * block; i < std::min(count, (b + 1) * block); ++i)
            sum += static_cast<double>(from[i]) * static_cast<double>(from[i]);
          sums[static_cast<std::size_t>(b)] = sum;
        }
      });
      for (const double sum : sums) total += sum;
    });
  return std::sqrt(total);
}

/// Scales the gradients down, in place, where their norm is above `most`, so that it becomes `most` (arXiv 1211.5063).
///
/// Result: the norm before. Gradients whose norm is not finite are left as they are: the caller sees it by the result.
/// Throws `error(errc::invalid_argument)` where `most` is not positive. Not thread-safe for the same segments.
inline double clip_gradient_norm(const std::vector<at::Tensor>& segments, double most) {
  if (!(most > 0)) throw error(errc::invalid_argument, "the largest norm of the gradients is a positive number");
  const double norm = gradient_norm(segments);
  if (std::isfinite(norm) && norm > most)
    for (at::Tensor segment : segments)
      if (segment.is_floating_point()) segment.mul_(most / norm);
  return norm;
}

DTASK_END
