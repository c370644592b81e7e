// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/torch/flat_tensors.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN

/// How a `flat_model` lays out what it takes over.
struct flat_model_options {
  /// Four-dimensional parameters of floating types get the second dimension innermost in memory, which makes
  /// convolutions on a CPU 1.3 to 1.9 times as fast (docs/benchmarks.md).
  bool channels_last = true;
};

namespace detail {

struct named_tensor {
  std::string name;
  at::Tensor tensor;
};

/// Parameters or buffers, each once: what has several names (tied weights) goes by the first.
template <class Dict>
std::vector<named_tensor> each_once(const Dict& named) {
  std::vector<named_tensor> out;
  std::unordered_set<const void*> seen;
  for (const auto& item : named)
    if (item.value().defined() && seen.insert(item.value().unsafeGetTensorImpl()).second)
      out.push_back({item.key(), item.value()});
  return out;
}

inline void require_flat(const named_tensor& from, std::string_view what, at::Device device) {
  const at::Tensor& t = from.tensor;
  const auto refuse = [&](const std::string& why, const char* remedy) {
    throw error(errc::invalid_argument, "the " + std::string(what) + " " + from.name + " " + why, {}, remedy);
  };
  if (t.is_meta()) refuse("is on meta, where tensors hold no values", "make the module on the device where it trains");
  if (t.device() != device)
    refuse("is on " + t.device().str() + ", and the first parameter on " + device.str(),
           "move the whole module to one device first");
  if (t.layout() != at::kStrided || t.is_quantized()) refuse("is not dense", "train dense parameters");
  if (find_dtype(t.scalar_type()) == nullptr)
    refuse(std::string("has the element type ") + c10::toString(t.scalar_type()) + ", which does not travel",
           "use bool, whole numbers of up to 64 bits, f16, bf16, f32 or f64");
  if (t.dim() > codec<at::Tensor>::max_rank) refuse("has more than 32 dimensions", "reshape it");
}

inline tensor_entry entry_of(const named_tensor& from, bool channels_last) {
  const at::Tensor& t = from.tensor;
  return {from.name, t.sizes().vec(), find_dtype(t.scalar_type())->code,
          channels_last && t.dim() == 4 && t.is_floating_point()};
}

/// Different parameters over the same memory would be torn apart in silence.
inline void require_no_overlap(const std::vector<named_tensor>& all) {
  struct run {
    const char *begin, *end;
    const std::string* name;
  };
  std::vector<run> runs;
  for (const named_tensor& p : all) {
    if (p.tensor.numel() == 0) continue;
    std::int64_t last = 1;
    for (std::int64_t d = 0; d < p.tensor.dim(); ++d) last += (p.tensor.size(d) - 1) * p.tensor.stride(d);
    const auto* at = static_cast<const char*>(p.tensor.const_data_ptr());
    runs.push_back({at, at + last * static_cast<std::int64_t>(p.tensor.element_size()), &p.name});
  }
  std::sort(runs.begin(), runs.end(), [](const run& a, const run& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < runs.size(); ++i)
    if (runs[i].begin < runs[i - 1].end)
      throw error(errc::invalid_argument,
                  "the parameters " + *runs[i - 1].name + " and " + *runs[i].name + " are views of the same memory", {},
                  "tie weights by using one tensor under both names");
}

}  // namespace detail

/// A module whose parameters are views of few contiguous segments, and whose gradients are views of as many: copying,
/// averaging and sending the model, clearing and clipping its gradients are one operation per element type.
///
/// All of it is on one device, the module's. States are on the CPU: `load` and `save` copy between the two.
///
/// The module is used as before. Optimizers are made after the flat model, of `module()->parameters()`. What changes:
/// before a backward pass gradients are forgotten by `drop_gradients()`, or cleared where they lie by
/// `clear_gradients()`, instead of by an optimizer's `zero_grad`; `module()->to(..)` must not be called any more, and
/// no second flat model be made of the module while this one is used. Parameters that are not used in a step, or need
/// no gradient, have zeros in the gradient segments. Weights that have several names are counted once, under the first.
/// Not thread-safe: one step at a time.
class flat_model {
 public:
  /// `module`: on one device, initialised; its values are kept. Throws `error(errc::invalid_argument)` for none, for
  /// one without parameters, and for parameters or buffers that are on different devices, not dense, of an element type
  /// that does not travel, or different views of the same memory.
  explicit flat_model(std::shared_ptr<::torch::nn::Module> module, flat_model_options options = {})
      : module_(std::move(module)) {
    if (!module_) throw error(errc::invalid_argument, "there is no module to train");
    const at::NoGradGuard guard;
    std::vector<detail::named_tensor> all = detail::each_once(module_->named_parameters());
    if (all.empty())
      throw error(errc::invalid_argument, "the module has no parameters: there is nothing to train", module_->name(),
                  "register them with register_parameter and register_module");
    device_ = all.front().tensor.device();
    for (const detail::named_tensor& p : all) detail::require_flat(p, "parameter", device_);
    for (const detail::named_tensor& b : detail::each_once(module_->named_buffers()))
      detail::require_flat(b, "buffer", device_);
    detail::require_no_overlap(all);

    for (const detail::named_tensor& p : all)
      parameters_.layout.entries.push_back(detail::entry_of(p, options.channels_last));
    plan_ = detail::plan_segments(parameters_.layout);
    parameters_.segments = detail::zero_segments(plan_, device_);
    for (std::size_t i = 0; i < all.size(); ++i) {
      at::Tensor& p = all[i].tensor;
      const at::Tensor place = view(parameters_.segments, i);
      place.copy_(p.detach());
      p.set_data(place);
      tensors_.push_back(std::move(p));
    }
    make_gradients();
    clear_gradients();
  }
  /// Takes the model over; its tensors stay where they are. What is moved from is assigned to or destroyed, and not
  /// used otherwise.
  flat_model(flat_model&&) = default;
  flat_model& operator=(flat_model&&) = default;  ///< the same

  const std::shared_ptr<::torch::nn::Module>& module() const noexcept { return module_; }  ///< as it was given
  at::Device device() const noexcept { return device_; }                                   ///< on which all of it is
  /// The parameters' layout, in the module's order, each once.
  const parameter_layout& layout() const noexcept { return parameters_.layout; }
  /// The buffers' layout, which changes where the module registers others.
  parameter_layout buffer_layout() const { return layout_of(detail::each_once(module_->named_buffers())); }
  /// The parameters themselves, each once, in the order of the layout.
  const std::vector<at::Tensor>& tensors() const noexcept { return tensors_; }
  /// The model's own memory. What is written to it, under a NoGradGuard, is written to the parameters.
  const flat_tensors& parameters() const noexcept { return parameters_; }
  /// Elements of all parameters together.
  std::int64_t size() const noexcept {
    std::int64_t n = 0;
    for (const detail::segment_place& p : plan_.places) n += p.count;
    return n;
  }

  /// Sets all gradients to zero where they lie; before a backward pass that shall not add to the last one.
  void clear_gradients() {
    const at::NoGradGuard guard;
    for (at::Tensor& g : gradients_) g.zero_();
    put_in_place();
  }
  /// Forgets all gradients. The next backward pass makes them anew, which costs less than adding them to zeros;
  /// `complete_gradients()` or `gradients()` comes after it.
  void drop_gradients() {
    for (at::Tensor& p : tensors_) p.mutable_grad() = at::Tensor();
  }
  /// Gives zeros to the parameters that the backward pass after `drop_gradients()` did not reach, so that an optimizer
  /// treats all alike (it leaves out what has no gradient).
  void complete_gradients() {
    const at::NoGradGuard guard;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (!gradient_views_[i].defined() || tensors_[i].grad().defined()) continue;
      gradient_views_[i].zero_();
      tensors_[i].mutable_grad() = gradient_views_[i];
    }
  }

  /// The gradients of all parameters in the segments of the layout (empty where the element type has none): the model's
  /// own memory, valid until the next of these functions or backward pass. What lies elsewhere (after
  /// `drop_gradients()`, a sparse one, an optimizer's `zero_grad`) is brought there first.
  const std::vector<at::Tensor>& gradients() {
    const at::NoGradGuard guard;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (!gradient_views_[i].defined() || is_in_place(i)) continue;
      const at::Tensor& other = tensors_[i].grad();
      if (!other.defined())
        gradient_views_[i].zero_();
      else
        gradient_views_[i].copy_(other.is_sparse() ? other.to_dense() : other);
      tensors_[i].mutable_grad() = gradient_views_[i];
    }
    return gradients_;
  }
  /// The same, given away: the model has none afterwards, as after `drop_gradients()`.
  std::vector<at::Tensor> take_gradients() {
    gradients();
    drop_gradients();
    std::vector<at::Tensor> out = std::move(gradients_);
    make_gradients();
    return out;
  }

  /// Makes these the gradients of the next optimizer step, and their memory the model's own. `segments`: of this
  /// model's layout, as `gradients()` gives them, to be written to by nobody else. Throws `error(errc::bad_data)` for
  /// others.
  void set_gradients(std::vector<at::Tensor> segments) {
    if (segments.size() != gradients_.size())
      throw error(errc::bad_data, "gradients of another number of segments than the model has");
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const at::Tensor& s = segments[i];
      if (!s.defined() || s.device() != device_ || s.dim() != 1 || !s.is_contiguous() ||
          s.scalar_type() != gradients_[i].scalar_type() || s.numel() != gradients_[i].numel())
        throw error(errc::bad_data, "gradients that are not of the model's layout");
    }
    gradients_ = std::move(segments);
    view_gradients();
    put_in_place();
  }

  /// Takes over parameters and buffers; the optimizer's part is `restore_optimizer`'s. Nothing is changed where it
  /// throws: `error(errc::invalid_argument)` for a state of other names, shapes or types (the first one is named) or of
  /// another LibTorch, `errc::bad_data` for one that contradicts itself.
  void load(const training_state& from) {
    const at::NoGradGuard guard;
    for (const tensor_copy& each : copies_from(from)) each.to.copy_(each.from);
  }
  /// A copy that is to be made: tensors of the same shape, perhaps on different devices.
  struct tensor_copy {
    at::Tensor from;  ///< what is read
    at::Tensor to;    ///< what is written
  };
  /// What `load` copies, as pairs over the state's memory and the model's, for who copies otherwise. Throws as `load`.
  std::vector<tensor_copy> copies_from(const training_state& from) const {
    require_same_libtorch(from);
    require_same_layout(layout(), from.parameters.layout, "the state");
    detail::check_segments(plan_, from.parameters.segments, "parameters");
    const std::vector<detail::named_tensor> buffers = detail::each_once(module_->named_buffers());
    require_same_layout(layout_of(buffers), from.buffers.layout, "the state's buffers");
    const std::vector<at::Tensor> values = views_of(from.buffers);
    std::vector<tensor_copy> copies;
    for (std::size_t i = 0; i < from.parameters.segments.size(); ++i)
      copies.push_back({from.parameters.segments[i], parameters_.segments[i]});
    for (std::size_t i = 0; i < buffers.size(); ++i) copies.push_back({values[i], buffers[i].tensor});
    return copies;
  }

  /// Copies parameters and buffers into tensors of the state's own, on the CPU, and says by which LibTorch. Optimizer
  /// state and counters stay as they are.
  void save(training_state& to) const {
    const at::NoGradGuard guard;
    to.parameters.layout = layout();
    to.parameters.segments.clear();
    for (const at::Tensor& s : parameters_.segments)
      to.parameters.segments.push_back(s.to(at::kCPU, /*non_blocking=*/false, /*copy=*/true));
    save_buffers(to);
  }
  /// The same without the parameters.
  void save_buffers(training_state& to) const {
    const at::NoGradGuard guard;
    to.libtorch = libtorch_version;
    to.buffers = buffers();
    for (at::Tensor& s : to.buffers.segments) s = s.cpu();
  }
  /// Copies of all buffers, on the model's device.
  flat_tensors buffers() const {
    const at::NoGradGuard guard;
    const std::vector<detail::named_tensor> from = detail::each_once(module_->named_buffers());
    flat_tensors out{layout_of(from), {}};
    const detail::segment_plan plan = detail::plan_segments(out.layout);
    out.segments = detail::zero_segments(plan, device_);
    for (std::size_t i = 0; i < from.size(); ++i)
      detail::view_of(out.segments[plan.places[i].segment], plan.places[i], out.layout.entries[i])
          .copy_(from[i].tensor);
    return out;
  }

 private:
  parameter_layout layout_of(const std::vector<detail::named_tensor>& all) const {
    parameter_layout layout;
    for (const detail::named_tensor& t : all) {
      detail::require_flat(t, "buffer", device_);
      layout.entries.push_back(detail::entry_of(t, false));
    }
    return layout;
  }
  at::Tensor view(const std::vector<at::Tensor>& segments, std::size_t i) const {
    return detail::view_of(segments[plan_.places[i].segment], plan_.places[i], parameters_.layout.entries[i]);
  }
  /// Makes segments for gradients. Elements that no gradient is written to (between the tensors, and of parameters that
  /// need none) are zero, the others are not set.
  void make_gradients() {
    gradients_.clear();
    std::vector<std::int64_t> end;  // of what is set or will be
    for (std::size_t i = 0; i < plan_.types.size(); ++i) {
      end.push_back(0);
      gradients_.push_back(at::empty({at::isFloatingType(plan_.types[i]) ? plan_.sizes[i] : 0},
                                     at::TensorOptions(plan_.types[i]).device(device_)));
      if (!device_.is_cpu()) gradients_.back().zero_();
    }
    const auto fill = [&](std::size_t segment, std::int64_t to) {
      const at::Tensor& g = gradients_[segment];
      const auto width = static_cast<std::int64_t>(g.element_size());
      if (device_.is_cpu() && g.numel() != 0 && to > end[segment])
        std::memset(static_cast<char*>(g.mutable_data_ptr()) + end[segment] * width, 0,
                    static_cast<std::size_t>((to - end[segment]) * width));
    };
    for (std::size_t i = 0; i < plan_.places.size(); ++i) {
      const detail::segment_place& p = plan_.places[i];
      if (!tensors_[i].requires_grad()) continue;
      fill(p.segment, p.offset);
      end[p.segment] = p.offset + p.count;
    }
    for (std::size_t i = 0; i < plan_.types.size(); ++i) fill(i, plan_.sizes[i]);
    view_gradients();
  }
  void view_gradients() {
    gradient_views_.clear();
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      gradient_views_.push_back(tensors_[i].requires_grad() ? view(gradients_, i) : at::Tensor());
  }
  void put_in_place() {
    for (std::size_t i = 0; i < tensors_.size(); ++i)
      if (gradient_views_[i].defined() && !is_in_place(i)) tensors_[i].mutable_grad() = gradient_views_[i];
  }
  bool is_in_place(std::size_t i) const {
    const at::Tensor& g = tensors_[i].grad();
    return g.defined() && !g.is_sparse() && g.const_data_ptr() == gradient_views_[i].const_data_ptr() &&
           g.strides() == gradient_views_[i].strides();
  }

  std::shared_ptr<::torch::nn::Module> module_;
  at::Device device_ = at::kCPU;
  detail::segment_plan plan_;
  flat_tensors parameters_;
  std::vector<at::Tensor> gradients_;
  std::vector<at::Tensor> tensors_;
  std::vector<at::Tensor> gradient_views_;  // undefined where a parameter needs no gradient
};

DTASK_END
