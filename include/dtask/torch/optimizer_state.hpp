// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/core/grad_mode.h>
#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/error.hpp"
#include "dtask/base/readable_name.hpp"
#include "dtask/torch/flat_model.hpp"
#include "dtask/torch/flat_tensors.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN

/// True where a recipe may use this optimizer; otherwise one sentence at compile time. `O`: an optimizer's class, or
/// `torch::optim::Optimizer`, of which the real class is asked at run time.
template <class O>
consteval bool require_trainable_optimizer() {
  static_assert(std::is_base_of_v<::torch::optim::Optimizer, O>,
                "dtask: a recipe's optimizer is a std::unique_ptr of one of LibTorch's optimizers");
  static_assert(!std::is_base_of_v<::torch::optim::LBFGS, O>,
                "dtask: LBFGS evaluates the loss several times a step, through a closure, so its steps cannot be split "
                "over ranks: use SGD, Adam, AdamW, RMSprop or Adagrad");
  return true;
}

namespace detail {

// Per optimizer: its name, its classes, what it keeps per parameter, and whether its options need a slot.

struct sgd_words {
  static constexpr const char* kind = "SGD";
  using optimizer = ::torch::optim::SGD;
  using options = ::torch::optim::SGDOptions;
  using state = ::torch::optim::SGDParamState;
  static constexpr bool counts = false;
  template <class State, class F>
  static void each_slot(State& s, const options&, F f) {
    f("momentum_buffer", s.momentum_buffer(), false);  // without one, SGD begins anew
  }
};
template <class Optimizer, class Options, class State>
struct adam_words {
  static constexpr const char* kind = std::is_same_v<Optimizer, ::torch::optim::Adam> ? "Adam" : "AdamW";
  using optimizer = Optimizer;
  using options = Options;
  using state = State;
  static constexpr bool counts = true;
  template <class S, class F>
  static void each_slot(S& s, const options& o, F f) {
    f("exp_avg", s.exp_avg(), true);
    f("exp_avg_sq", s.exp_avg_sq(), true);
    f("max_exp_avg_sq", s.max_exp_avg_sq(), o.amsgrad());
  }
};
struct rmsprop_words {
  static constexpr const char* kind = "RMSprop";
  using optimizer = ::torch::optim::RMSprop;
  using options = ::torch::optim::RMSpropOptions;
  using state = ::torch::optim::RMSpropParamState;
  static constexpr bool counts = true;
  template <class S, class F>
  static void each_slot(S& s, const options& o, F f) {
    f("square_avg", s.square_avg(), true);
    f("momentum_buffer", s.momentum_buffer(), o.momentum() > 0);
    f("grad_avg", s.grad_avg(), o.centered());
  }
};
struct adagrad_words {
  static constexpr const char* kind = "Adagrad";
  using optimizer = ::torch::optim::Adagrad;
  using options = ::torch::optim::AdagradOptions;
  using state = ::torch::optim::AdagradParamState;
  static constexpr bool counts = true;
  template <class S, class F>
  static void each_slot(S& s, const options&, F f) {
    f("sum", s.sum(), true);
  }
};

/// Calls `f` with the words of the optimizer's own class. A class derived from it may remember what nobody here knows
/// of, so it counts as unknown.
template <class F>
void with_words(const ::torch::optim::Optimizer& optimizer, F f) {
  namespace optim = ::torch::optim;
  const std::type_info& type = typeid(optimizer);
  if (type == typeid(optim::SGD)) return f(sgd_words());
  if (type == typeid(optim::Adam)) return f(adam_words<optim::Adam, optim::AdamOptions, optim::AdamParamState>());
  if (type == typeid(optim::AdamW)) return f(adam_words<optim::AdamW, optim::AdamWOptions, optim::AdamWParamState>());
  if (type == typeid(optim::RMSprop)) return f(rmsprop_words());
  if (type == typeid(optim::Adagrad)) return f(adagrad_words());
  throw error(errc::invalid_argument, "the optimizer " + readable_name(type) + " is not known to the trainer", {},
              "use SGD, Adam, AdamW, RMSprop or Adagrad");
}

/// One parameter that an optimizer updates.
struct optimized {
  std::size_t index = 0;  // in the model's layout
  void* key = nullptr;    // in the optimizer's state
  const ::torch::optim::OptimizerOptions* options = nullptr;
};
inline std::vector<optimized> parameters_of(const ::torch::optim::Optimizer& optimizer, const flat_model& model) {
  std::unordered_map<const void*, std::size_t> at;
  for (std::size_t i = 0; i < model.tensors().size(); ++i) at.emplace(model.tensors()[i].unsafeGetTensorImpl(), i);
  std::vector<optimized> out;
  for (const auto& group : optimizer.param_groups())
    for (const at::Tensor& p : group.params()) {
      const auto found = at.find(p.unsafeGetTensorImpl());
      if (found == at.end())
        throw error(errc::invalid_argument, "the optimizer updates a parameter that the module does not have", {},
                    "give it parameters of the module, and register all of them");
      out.push_back(
          {found->second, p.unsafeGetTensorImpl(), group.has_options() ? &group.options() : &optimizer.defaults()});
    }
  return out;
}

}  // namespace detail

/// Copies what an optimizer remembers, by the model's parameters.
///
/// `optimizer`: SGD, Adam, AdamW, RMSprop or Adagrad, of any number of groups, made of parameters of `model`. Throws
/// `error(errc::invalid_argument)` for another class, named, and for parameters that are not the model's. Thread-safe
/// as far as nobody steps meanwhile.
inline optimizer_state save_optimizer(const ::torch::optim::Optimizer& optimizer, const flat_model& model) {
  const at::NoGradGuard guard;
  optimizer_state out;
  const std::vector<detail::optimized> updated = detail::parameters_of(optimizer, model);
  const std::size_t count = model.layout().entries.size();
  detail::with_words(optimizer, [&]<class Words>(Words) {
    out.kind = Words::kind;
    out.steps.assign(count, -1);
    std::vector<std::vector<at::Tensor>> kept;
    for (const detail::optimized& p : updated) {
      const auto found = optimizer.state().find(p.key);
      if (found == optimizer.state().end()) continue;
      const auto& state = static_cast<const typename Words::state&>(*found->second);
      out.steps[p.index] = 0;
      if constexpr (Words::counts) out.steps[p.index] = state.step();
      std::size_t n = 0;
      Words::each_slot(state, static_cast<const typename Words::options&>(*p.options),
                       [&](const char* name, const at::Tensor& tensor, bool) {
                         if (n == out.slots.size()) {
                           out.slots.push_back({name, std::vector<std::uint8_t>(count, 0), {}});
                           kept.emplace_back(count);
                         }
                         out.slots[n].present[p.index] = tensor.defined() ? 1 : 0;
                         kept[n++][p.index] = tensor;
                       });
    }
    for (std::size_t n = 0; n < out.slots.size(); ++n) {
      flat_tensors flat{detail::part_of_layout(model.layout(), out.slots[n].present), {}};
      flat.segments = detail::zero_segments(detail::plan_segments(flat.layout));
      const std::vector<at::Tensor> places = views_of(flat);
      std::size_t next = 0;
      for (const at::Tensor& tensor : kept[n])
        if (tensor.defined()) places[next++].copy_(tensor);
      out.slots[n].segments = std::move(flat.segments);
    }
    std::erase_if(out.slots, [](const optimizer_slot& s) { return s.segments.empty(); });
  });
  return out;
}

/// Puts back what `save_optimizer` copied, into an optimizer of the same class and groups: its next steps are those of
/// the saved one, to the byte. A state of no kind makes the optimizer forget: as if just made, as far as it can be.
///
/// Throws `error(errc::invalid_argument)`, and changes nothing, for a state of another class, for an optimizer that is
/// unknown or updates other parameters, and for a state without what the optimizer's options need (amsgrad, centered);
/// `errc::bad_data` for a state that does not fit the model.
inline void restore_optimizer(::torch::optim::Optimizer& optimizer, const flat_model& model,
                              const optimizer_state& from) {
  const at::NoGradGuard guard;
  const std::vector<detail::optimized> updated = detail::parameters_of(optimizer, model);
  const parameter_layout& layout = model.layout();
  detail::with_words(optimizer, [&]<class Words>(Words) {
    using param_state = typename Words::state;
    auto& states = optimizer.state();
    if (from.kind.empty()) {
      states.clear();
      if constexpr (std::is_same_v<typename Words::optimizer, ::torch::optim::Adagrad>) {
        // Its step expects what its constructor made.
        const auto& defaults = static_cast<const typename Words::options&>(optimizer.defaults());
        for (const detail::optimized& p : updated) {
          auto fresh = std::make_unique<param_state>();
          fresh->sum(at::full_like(model.tensors()[p.index].detach(), defaults.initial_accumulator_value(),
                                   at::MemoryFormat::Preserve));
          states[p.key] = std::move(fresh);
        }
      }
      return;
    }
    if (from.kind != Words::kind)
      throw error(errc::invalid_argument, "the state is one of " + from.kind + ", and the optimizer is " + Words::kind,
                  {}, "resume with the optimizer with which the training began");
    if (from.steps.size() != layout.entries.size())
      throw error(errc::bad_data, "an optimizer's state for another number of parameters than the model has");
    std::unordered_map<std::string, std::vector<at::Tensor>> slots;
    for (const optimizer_slot& slot : from.slots) {
      if (slot.present.size() != layout.entries.size())
        throw error(errc::bad_data, "an optimizer's state for another number of parameters than the model has",
                    slot.name);
      const std::vector<at::Tensor> some = views_of({detail::part_of_layout(layout, slot.present), slot.segments});
      std::vector<at::Tensor>& all = slots[slot.name];
      all.resize(layout.entries.size());
      for (std::size_t i = 0, next = 0; i < all.size(); ++i)
        if (slot.present[i] != 0) all[i] = some[next++];
    }
    std::vector<std::pair<void*, std::unique_ptr<param_state>>> made;
    for (const detail::optimized& p : updated) {
      if (from.steps[p.index] < 0) continue;
      auto state = std::make_unique<param_state>();
      if constexpr (Words::counts) state->step(from.steps[p.index]);
      Words::each_slot(
          *state, static_cast<const typename Words::options&>(*p.options),
          [&](const char* name, at::Tensor& tensor, bool needed) {
            const auto slot = slots.find(name);
            const at::Tensor* kept = slot == slots.end() ? nullptr : &slot->second[p.index];
            if (kept != nullptr && kept->defined())
              // Laid out like the parameter, as the optimizer itself would.
              tensor = at::empty_like(model.tensors()[p.index].detach(), at::MemoryFormat::Preserve).copy_(*kept);
            else if (needed)
              throw error(errc::invalid_argument,
                          std::string("the optimizer's options need ") + name + " of " + layout.entries[p.index].name +
                              ", which the state does not have",
                          {}, "resume with the options with which the training began");
          });
      made.emplace_back(p.key, std::move(state));
    }
    states.clear();
    for (auto& [key, state] : made) states[key] = std::move(state);
  });
}

/// The learning rates of an optimizer's groups, times one factor: the groups keep their proportions.
class learning_rate_scale {
 public:
  /// Takes the rates that the groups have now as those of factor 1. `optimizer`: lives longer than this. Throws
  /// `error(errc::invalid_argument)` for an optimizer that the trainer does not know.
  explicit learning_rate_scale(::torch::optim::Optimizer& optimizer) : optimizer_(&optimizer) {
    detail::with_words(optimizer, [](auto) {});
    for (const auto& group : optimizer.param_groups()) base_.push_back(group.options().get_lr());
  }
  /// Sets every group's rate to its own base times `factor`: finite and not negative, else
  /// `error(errc::invalid_argument)`.
  void set(double factor) {
    if (!std::isfinite(factor) || factor < 0)
      throw error(errc::invalid_argument, "a learning rate's factor is finite and not negative");
    for (std::size_t i = 0; i < base_.size(); ++i) optimizer_->param_groups()[i].options().set_lr(base_[i] * factor);
  }

 private:
  ::torch::optim::Optimizer* optimizer_;
  std::vector<double> base_;
};

DTASK_END
