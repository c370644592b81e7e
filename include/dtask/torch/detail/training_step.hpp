// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/number.hpp"
#include "dtask/torch/flat_model.hpp"
#include "dtask/torch/learning_rate.hpp"

DTASK_BEGIN
namespace detail {

/// Forward passes within its scope, on devices of one kind, run in bfloat16 where that is exact enough. No `co_await`
/// within.
class bf16_scope {
 public:
  bf16_scope(bool on, at::DeviceType kind) : on_(on), kind_(kind) {
    if (!on_) return;
    was_on_ = at::autocast::is_autocast_enabled(kind_);
    was_ = at::autocast::get_autocast_dtype(kind_);
    at::autocast::set_autocast_enabled(kind_, true);
    at::autocast::set_autocast_dtype(kind_, at::kBFloat16);
    at::autocast::increment_nesting();
  }
  bf16_scope(const bf16_scope&) = delete;
  bf16_scope& operator=(const bf16_scope&) = delete;
  ~bf16_scope() {
    if (!on_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(kind_, was_on_);
    at::autocast::set_autocast_dtype(kind_, was_);
  }

 private:
  bool on_;
  at::DeviceType kind_;
  bool was_on_ = false;
  at::ScalarType was_ = at::kBFloat16;
};

/// Calls `f`; what LibTorch throws in it arrives as an `error` with its first lines alone, since the stack that it
/// appends is of this machine's addresses and buries the sentence.
template <class F>
decltype(auto) tell_libtorch(F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const c10::Error& e) {
    throw error(errc::job_failed, std::string("LibTorch: ") + e.what_without_backtrace());
  }
}

/// Throws `error(bad_data)` where a parameter that is trained, or with `gradients` its gradient, has an element that is
/// not finite; the parameter is named. Such a round must not count: the state and its checkpoints would never recover.
/// `segments`: of the model's layout, on the CPU.
inline void require_finite(const flat_model& model, const std::vector<at::Tensor>& segments, bool gradients) {
  const at::NoGradGuard guard;
  // A sum costs least, and is finite only where all is; where it is not, it may have overflowed.
  bool finite = true;
  for (const at::Tensor& s : segments)
    if (s.is_floating_point() && s.numel() != 0) finite = finite && std::isfinite(s.sum().item<double>());
  if (finite) return;
  const segment_plan plan = plan_segments(model.layout());
  for (std::size_t i = 0; i < model.tensors().size(); ++i) {
    const tensor_entry& entry = model.layout().entries[i];
    if (!model.tensors()[i].requires_grad()) continue;
    if (!view_of(segments[plan.places[i].segment], plan.places[i], entry).isfinite().all().item<bool>())
      throw error(
          errc::bad_data,
          (gradients ? "the gradient of " : "the parameter ") + entry.name + " is not finite, although the loss is", {},
          "look for square roots, logarithms and divisions in the loss; a smaller learning rate");
  }
}

/// The losses of a part's steps, in their order. On a device they are read together at the end: reading one waits for
/// all that was enqueued before.
class step_losses {
 public:
  /// `finite`: one that is not is refused with `error(bad_data)`, when it is read.
  explicit step_losses(bool finite) noexcept : finite_(finite) {}
  void add(const at::Tensor& loss, std::int64_t samples, bool later) {
    const std::int64_t batch = count_++;
    if (later)
      waiting_.push_back({loss.detach().reshape({}).to(at::kDouble), samples, batch});
    else
      take(loss.item<double>(), samples, batch);
  }
  void settle() {
    if (waiting_.empty()) return;
    std::vector<at::Tensor> each;
    for (const late& l : waiting_) each.push_back(l.value);
    const at::Tensor all = at::stack(each).cpu();
    for (std::size_t i = 0; i < waiting_.size(); ++i)
      take(all.const_data_ptr<double>()[i], waiting_[i].samples, waiting_[i].batch);
    waiting_.clear();
  }
  double sum() const noexcept { return sum_; }

 private:
  struct late {
    at::Tensor value;
    std::int64_t samples, batch;
  };
  void take(double value, std::int64_t samples, std::int64_t batch) {
    if (finite_ && !std::isfinite(value))
      throw error(errc::bad_data,
                  "the loss is " + number_text(value) + " in batch " + std::to_string(batch) + " of the part", {},
                  "a smaller learning rate, clip_norm, or look at the data");
    sum_ += value * static_cast<double>(samples);
  }
  bool finite_;
  std::vector<late> waiting_;
  std::int64_t count_ = 0;
  double sum_ = 0;
};

template <class Recipe>
double rate_of(const Recipe& recipe, const learning_rate& schedule, std::int64_t step, std::int64_t total) {
  const double progress = total <= 0 ? 0 : std::min(1.0, static_cast<double>(step) / static_cast<double>(total));
  if constexpr (requires { recipe.rate(progress); })
    return rate_at([&recipe](double at) { return static_cast<double>(recipe.rate(at)); }, progress);
  else
    return rate_at(schedule, progress);
}

/// One number of several, for a generator (Steele, Lea, Flood: SplitMix).
inline std::uint64_t mix_seed(std::uint64_t seed, std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t z = seed;
  for (const std::uint64_t next : {a, b}) {
    z += 0x9e3779b97f4a7c15u + next;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
  }
  return z;
}

}  // namespace detail
DTASK_END
