// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/torch/aggregate.hpp"
#include "dtask/torch/checkpoint.hpp"
#include "dtask/torch/detail/packed.hpp"
#include "dtask/torch/detail/random_use.hpp"
#include "dtask/torch/detail/replica.hpp"
#include "dtask/torch/detail/training_part.hpp"
#include "dtask/torch/detail/training_step.hpp"
#include "dtask/torch/gradient_norm.hpp"
#include "dtask/torch/optimizer_state.hpp"
#include "dtask/torch/training_state.hpp"
#include "dtask/torch/weight_average.hpp"

DTASK_BEGIN
namespace detail {

/// The model of a training between rounds: what the parts of a round are sent, and what is made of what they return.
///
/// With `sync`, parameters and optimizer live in the replica; else in the state, and the replica is for those who look.
/// One task at a time uses it; the plan outlives it.
template <class Recipe>
class trained_model {
  using plan_type = training_plan<Recipe>;
  using replica_type = replica<Recipe>;

 public:
  using module_type = recipe_module<Recipe>;

  /// Has the first weights of the plan's seed. `average_decay`: of a moving average of the weights; 0: there is none.
  trained_model(const plan_type& plan, double average_decay) : plan_(plan), replica_(first_replica(plan)) {
    static_cast<void>(save_optimizer(*replica_->optimizer, replica_->model));  // throws for one that is not known
    replica_->model.save(state_);
    if (average_decay > 0) average_.emplace(average_decay);
  }
  trained_model(const trained_model&) = delete;
  trained_model& operator=(const trained_model&) = delete;

  const training_counters& counters() const noexcept { return state_.counters; }
  const flat_model& flat() const noexcept { return replica_->model; }
  /// Where it stands.
  training_state current() {
    if (is_local()) return state_;
    training_state now = state_;
    now.parameters = replica_->model.parameters();
    now.optimizer = save_optimizer(*replica_->optimizer, replica_->model);
    return now;
  }
  /// The module, with the weights of now.
  const std::shared_ptr<module_type>& module() {
    show_weights();
    return replica_->module;
  }
  /// Another module, with the average of the weights, or those of now where there is none.
  std::shared_ptr<module_type> averaged_module() {
    std::shared_ptr<replica_type> averaged;
    random_use::apart([&] { averaged = std::make_shared<replica_type>(plan_.recipe); });
    training_state state = current();
    if (has_average()) state.parameters.segments = average_->segments();
    averaged->model.load(state);
    averaged->module->eval();
    return std::shared_ptr<module_type>(averaged, averaged->module.get());
  }

  /// The state as parts need it: for a step of `sync`, and for evaluation, without the optimizer.
  bytes packed(part_kind kind) {
    const bool for_evaluation = kind == part_kind::evaluate;
    training_state sent = state_;
    if (!is_local()) sent.parameters = replica_->model.parameters();
    if (for_evaluation || !is_local()) sent.optimizer = {};
    if (for_evaluation && has_average()) sent.parameters.segments = average_->segments();
    return pack(encode(std::move(sent)));
  }
  /// Makes the next state of what the ranks did. Result: the factor of the learning rate in the last step.
  /// `total_steps`: of the training. Throws where the parts do not belong together.
  double take(std::vector<ended_part> parts, std::int64_t total_steps) {
    const at::NoGradGuard no_gradients;
    const double rate = is_local() ? take_states(std::move(parts)) : take_gradients(std::move(parts), total_steps);
    if (average_) average_->update(is_local() ? state_.parameters.segments : replica_->model.parameters().segments);
    return rate;
  }
  void end_epoch() noexcept { ++state_.counters.epoch; }

  /// Puts into a checkpoint what it has to keep.
  void save(checkpoint& to) {
    to.state = current();
    if (!outer_.empty()) to.kept["outer_momentum"] = outer_;
    if (has_average()) to.kept["weight_average"] = average_->segments();
  }
  /// Goes on from what `save` kept.
  void restore(checkpoint from) {
    replica_->model.load(from.state);
    state_ = std::move(from.state);
    if (!is_local()) restore_optimizer(*replica_->optimizer, replica_->model, state_.optimizer);
    shown_ = true;
    if (const auto kept = from.kept.find("outer_momentum"); kept != from.kept.end()) outer_ = std::move(kept->second);
    if (const auto kept = from.kept.find("weight_average"); average_ && kept != from.kept.end())
      average_->restore(kept->second);
  }

 private:
  static std::unique_ptr<replica_type> first_replica(const plan_type& plan) {
    at::set_num_threads(plan.threads);
    random_use::seed_cpu(plan.seed);
    return std::make_unique<replica_type>(plan.recipe);
  }
  bool is_local() const noexcept { return plan_.how.is_local(); }
  bool has_average() const noexcept { return average_ && !average_->segments().empty(); }

  double take_states(std::vector<ended_part> parts) {
    double rate = 0;
    std::vector<state_part> states;
    for (ended_part& p : parts) {
      rate = p.answer.rate;
      states.push_back({p.rank, p.answer.samples, std::move(p.answer.state)});
    }
    state_ = plan_.how.how == strategy::way::diloco
                 ? dtask::diloco(state_, states, outer_, plan_.how.outer, plan_.how.merge)
                 : dtask::average(state_, states, plan_.how.merge);
    shown_ = false;
    return rate;
  }
  double take_gradients(std::vector<ended_part> parts, std::int64_t total_steps) {
    std::vector<gradient_part> gradients;
    std::vector<state_part> states;
    for (ended_part& p : parts) {
      gradients.push_back({p.rank, p.answer.samples, std::move(p.answer.gradients)});
      states.push_back({p.rank, p.answer.samples, std::move(p.answer.state)});
    }
    replica_type& r = *replica_;
    r.model.set_gradients(mean_gradients(gradients));
    if (plan_.clip_norm > 0) clip_gradient_norm(r.model.gradients(), plan_.clip_norm);
    const double rate = rate_of(plan_.recipe, plan_.rate, state_.counters.steps, total_steps);
    r.rates.set(rate);
    r.optimizer->step();
    take_buffers(states);
    for (const gradient_part& g : gradients) state_.counters.samples += g.samples;
    ++state_.counters.steps;
    ++state_.counters.round;
    return rate;
  }
  /// Of the buffers, floating ones are averaged by samples; others are those of the lowest rank.
  void take_buffers(const std::vector<state_part>& parts) {
    if (state_.buffers.segments.empty()) return;
    const std::vector<const state_part*> counted = parts_that_count(parts);
    std::vector<double> share;
    double samples = 0;
    for (const state_part* part : counted) {
      require_same_layout(state_.buffers.layout, part->state.buffers.layout, "what a rank returned", rank_place(*part));
      samples += static_cast<double>(part->samples);
      share.push_back(static_cast<double>(part->samples) / samples);
    }
    const auto buffers = [](const state_part& p) -> const std::vector<at::Tensor>& { return p.state.buffers.segments; };
    state_.buffers.segments = average_all(counted, share, buffers);
  }
  void show_weights() {
    if (is_local() && shown_) return;
    training_state now = current();
    if (!is_local()) {
      // Its parameters are the replica's own memory.
      now.parameters.segments.clear();
      for (const at::Tensor& s : replica_->model.parameters().segments) now.parameters.segments.push_back(s.clone());
    }
    replica_->model.load(now);
    replica_->module->eval();
    shown_ = true;
  }

  const plan_type& plan_;
  const std::unique_ptr<replica_type> replica_;
  training_state state_;
  bool shown_ = false;             ///< the replica has the state's weights
  std::vector<at::Tensor> outer_;  ///< the outer optimizer's momentum, of `diloco`
  std::optional<weight_average> average_;
};

}  // namespace detail
DTASK_END
