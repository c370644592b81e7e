// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/data/data_loader.hpp"
#include "dtask/job/job.hpp"
#include "dtask/torch/aggregate.hpp"
#include "dtask/torch/cpu_device.hpp"
#include "dtask/torch/detail/packed.hpp"
#include "dtask/torch/detail/random_use.hpp"
#include "dtask/torch/detail/rank_loaders.hpp"
#include "dtask/torch/detail/replica.hpp"
#include "dtask/torch/detail/training_part.hpp"
#include "dtask/torch/detail/training_step.hpp"
#include "dtask/torch/flat_model.hpp"
#include "dtask/torch/gradient_norm.hpp"
#include "dtask/torch/learning_rate.hpp"
#include "dtask/torch/optimizer_state.hpp"
#include "dtask/torch/recipe.hpp"
#include "dtask/torch/strategy.hpp"
#include "dtask/torch/tally.hpp"
#include "dtask/torch/tensor_codec.hpp"
#include "dtask/torch/torch_task.hpp"
#include "dtask/torch/training_state.hpp"

DTASK_BEGIN

/// A recipe as a job: what workers of a `trainer` run. `using train = dtask::training<"fashion/1", fashion>;` goes into
/// the registry of the program.
///
/// A part of a round is a pure function of (recipe, state, round, rank): the state comes by broadcast, the batches from
/// the recipe's dataset, random numbers from the seed. So a part that was lost with its worker is done again anywhere,
/// with the same bytes.
///
/// `Device`: where parts compute. `cpu_device`, or `dtask::cuda::worker_device` (dtask/cuda/worker_device.hpp): on what
/// the worker was started for. Recipes are the same for both; see docs/cuda.md.
template <fixed_string Name, class Recipe, training_device Device = cpu_device>
class training : public job<Name, pure> {
  static_assert(require_recipe<Recipe>());
  /// What LibTorch keeps per thread, the current stream with it, matters across awaits on a device alone.
  template <class T>
  using part_task = std::conditional_t<std::is_same_v<Device, cpu_device>, task<T>, torch_task<T>>;
  using plan_type = detail::training_plan<Recipe>;
  using dataset_type = detail::recipe_data<Recipe>;
  using loader_type = data_loader<dataset_type>;

 public:
  using recipe_type = Recipe;  ///< what is trained

  /// @cond internal
  task<detail::part_answer> operator()(job_context& ctx, const detail::part_order& order) {
    if (!device_) device_ = std::make_unique<Device>(ctx);
    const blob plan = sent(ctx, order.run + "/plan");
    if (!replica_ || run_ != order.run || version_ != plan.version) {
      replica_.reset();
      plan_ = decode<plan_type>(detail::unpack(plan.value));
      run_ = order.run;
      version_ = plan.version;
      forget_ended(ctx);
      at::set_num_threads(plan_.threads);
      const auto make = [this] {
        [[maybe_unused]] const auto on = device_->enter();
        replica_ = std::make_unique<detail::replica<Recipe>>(plan_.recipe, device_->device());
      };
      detail::random_use::apart([&make] { detail::tell_libtorch(make); });
    }
    switch (order.kind) {
      case detail::part_kind::survey:
        return survey(ctx, order);
      case detail::part_kind::train:
        return train(ctx, order);
      case detail::part_kind::evaluate:
        break;
    }
    return evaluate(ctx, order);
  }
  /// @endcond

 private:
  /// Lets go what other trainings of this client have loaded here, if they have ended: their plan was withdrawn. So a
  /// program that trains many models, one after the other, holds the data of one.
  void forget_ended(job_context& ctx) const {
    const auto known = ctx.shared<detail::known_runs>(std::string(training::name) + "/runs",
                                                      [] { return std::make_shared<detail::known_runs>(); });
    const std::lock_guard hold(known->guard);
    known->names.insert(run_);
    std::erase_if(known->names, [&](const std::string& run) {
      if (run == run_) return false;
      try {
        static_cast<void>(ctx.blob(run + "/plan"));
        return false;
      } catch (const error&) {
        for (const char* what : {"/loaders", "/train", "/test"}) ctx.drop_shared(run + what);
        return true;
      }
    });
  }
  /// The dataset, one for all slots.
  auto data(job_context& ctx, split which) {
    auto make = [this, &ctx, which] { return detail::data_of(plan_.recipe, which, ctx); };
    return ctx.shared<dataset_type>(run_ + (which == split::train ? "/train" : "/test"), std::move(make));
  }
  static constexpr bool data_awaits = detail::unwrap_task<decltype(detail::data_of(
      std::declval<const Recipe&>(), split::train, std::declval<job_context&>()))>::awaits;
  task<std::shared_ptr<dataset_type>> await_data(job_context& ctx, split which) {
    if constexpr (data_awaits) {
      auto coming = data(ctx, which);
      co_return co_await std::move(coming);
    } else {
      co_return data(ctx, which);
    }
  }

  task<detail::part_answer> survey(job_context& ctx, detail::part_order) {
    detail::part_answer answer;
    auto loading = await_data(ctx, split::train);
    const auto train_data = co_await std::move(loading);
    answer.train_size = train_data->size();
    answer.train_fingerprint = train_data->fingerprint();
    auto loading_test = await_data(ctx, split::test);
    const auto test_data = co_await std::move(loading_test);
    answer.test_size = test_data->size();
    answer.test_fingerprint = test_data->fingerprint();
    answer.processor = device_->name();
    co_return answer;
  }

  /// What the trainer has broadcast, before this part: it is here, unless a limit of this worker is in the way.
  static blob sent(job_context& ctx, const std::string& name) {
    try {
      return ctx.blob(name);
    } catch (const error& e) {
      throw error(errc::too_large,
                  "the training's state is not on this worker, which may not hold as much: " + e.cause(),
                  std::string(ctx.worker()), "raise the worker's --broadcast-bytes and --payload-bytes");
    }
  }
  training_state state_of(job_context& ctx, const detail::part_order& order) const {
    auto state = decode<training_state>(detail::unpack(sent(ctx, order.run + "/state").value));
    if (state.counters.round != order.round)
      throw error(errc::bad_data,
                  "the state is of round " + std::to_string(state.counters.round) + ", the part of round " +
                      std::to_string(order.round),
                  std::string(ctx.worker()));
    return state;
  }

  part_task<detail::part_answer> train(job_context& ctx, detail::part_order order) {
    detail::part_answer answer;
    detail::replica<Recipe>& r = *replica_;
    [[maybe_unused]] const auto on = device_->enter();
    auto loading = await_data(ctx, split::train);
    const std::shared_ptr<const dataset_type> samples = co_await std::move(loading);
    const auto waiting = ctx.shared<detail::rank_loaders<dataset_type>>(
        run_ + "/loaders", [] { return std::make_shared<detail::rank_loaders<dataset_type>>(); });
    std::optional<loader_type> loader = waiting->take(order.rank);
    if (!loader) loader.emplace(samples, loader_options_of(order));
    loader_state begin = loader->state();
    begin.epoch = static_cast<std::uint64_t>(order.epoch);
    begin.position = order.position;
    begin.ahead.clear();
    loader->restore(begin);
    const double stalled = loader->report().stall_seconds;
    const std::uint64_t bad = loader->report().bad_samples;

    {
      const training_state state = state_of(ctx, order);
      auto loading_model = load(r.model, state);
      co_await std::move(loading_model);
      if (plan_.how.is_local()) restore_optimizer(*r.optimizer, r.model, state.optimizer);
      answer.state.counters = state.counters;
    }
    detail::random_use random(
        detail::mix_seed(plan_.seed, static_cast<std::uint64_t>(order.round), static_cast<std::uint64_t>(order.rank)),
        device_->device());
    detail::step_losses losses(/*finite=*/true);
    at::set_num_threads(plan_.threads);
    r.module->train();
    if (!plan_.how.is_local()) r.model.drop_gradients();
    for (std::int64_t k = 0; k < order.batches; ++k) {
      ctx.stop().check();
      auto next = loader->next();
      auto loaded = co_await std::move(next);
      if (!loaded) break;  // the batches that are left had bad samples alone
      dtask::batch samples_of_step = to_batch(std::move(*loaded));
      if constexpr (!std::is_same_v<Device, cpu_device>) {
        auto starting = device_->start(std::move(samples_of_step));
        auto there = co_await std::move(starting);
        samples_of_step = device_->hand_over(std::move(there));
      }
      detail::tell_libtorch([&] { step(r, samples_of_step, order, k, answer, losses); });
      if constexpr (!std::is_same_v<Device, cpu_device>) {
        auto pacing = device_->pace();
        co_await std::move(pacing);
      }
    }
    answer.random_disturbed = random.disturbed();
    answer.train_fingerprint = samples->fingerprint();
    answer.processor = device_->name();
    const loader_report loading_report = loader->report();
    answer.stall_seconds = loading_report.stall_seconds - stalled;
    answer.bad_samples = loading_report.bad_samples - bad;
    name_bad_samples("sample ", loading_report, answer);
    waiting->put(order.rank, std::move(*loader));

    const bool local = plan_.how.is_local();
    std::vector<at::Tensor> gradients;
    if (!local) gradients = r.model.take_gradients();
    if constexpr (!std::is_same_v<Device, cpu_device>) {
      // What the part answers with, in one go and without a thread that waits; all that follows finds the device idle.
      flat_tensors buffers = r.model.buffers();
      std::vector<at::Tensor> wanted = local ? r.model.parameters().segments : gradients;
      const auto first_buffer = static_cast<std::ptrdiff_t>(wanted.size());
      wanted.insert(wanted.end(), buffers.segments.begin(), buffers.segments.end());
      auto copying = device_->copy_out(std::move(wanted));
      std::vector<at::Tensor> here = co_await std::move(copying);
      buffers.segments.assign(here.begin() + first_buffer, here.end());
      here.resize(static_cast<std::size_t>(first_buffer));
      answer.state.libtorch = libtorch_version;
      answer.state.buffers = std::move(buffers);
      if (local)
        answer.state.parameters = {r.model.layout(), std::move(here)};
      else
        gradients = std::move(here);
    } else if (local) {
      r.model.save(answer.state);
    } else {
      // The parameters have not changed, the buffers may have.
      r.model.save_buffers(answer.state);
    }
    losses.settle();
    answer.counted.settle();
    answer.loss = losses.sum();
    detail::require_finite(r.model, local ? answer.state.parameters.segments : gradients, !local);
    if (local) {
      if (plan_.how.merge == optimizer_merge::average) answer.state.optimizer = save_optimizer(*r.optimizer, r.model);
      answer.state.counters.steps += order.batches;
    } else {
      answer.gradients = std::move(gradients);
    }
    co_return answer;
  }

  /// Brings the state's parameters and buffers into the model.
  task<> load(flat_model& model, const training_state& state) {
    if constexpr (!std::is_same_v<Device, cpu_device>) {
      return device_->copy_in(model.copies_from(state));
    } else {
      model.load(state);
      return nothing_to_await();
    }
  }
  static task<> nothing_to_await() { co_return; }

  /// Forward and backward, and a step of the rank's own optimizer where the strategy has one. Nothing awaits in here:
  /// what LibTorch keeps per thread stays on this one.
  void step(detail::replica<Recipe>& r, const dtask::batch& samples, const detail::part_order& order, std::int64_t k,
            detail::part_answer& answer, detail::step_losses& losses) const {
    const bool local = plan_.how.is_local();
    const std::int64_t n = samples.size();
    at::Tensor loss;
    {
      const detail::bf16_scope autocast(plan_.bf16, r.model.device().type());
      loss = plan_.recipe.loss(*r.module, samples, answer.counted);
    }
    answer.counted.count(n);
    losses.add(loss, n, device_->is_later());
    answer.samples += n;
    if (!local) {
      loss.mul(n).backward();
      return;
    }
    r.model.drop_gradients();
    loss.backward();
    if (plan_.clip_norm > 0 && r.model.device().is_cpu())
      clip_gradient_norm(r.model.gradients(), plan_.clip_norm);
    else if (plan_.clip_norm > 0)
      detail::clip_there(r.model.gradients(), plan_.clip_norm);
    else
      r.model.complete_gradients();
    answer.rate = detail::rate_of(plan_.recipe, plan_.rate, order.step + k, order.total_steps);
    r.rates.set(answer.rate);
    r.optimizer->step();
  }

  part_task<detail::part_answer> evaluate(job_context& ctx, detail::part_order order) {
    detail::part_answer answer;
    detail::replica<Recipe>& r = *replica_;
    [[maybe_unused]] const auto on = device_->enter();
    auto loading = await_data(ctx, split::test);
    const std::shared_ptr<const dataset_type> samples = co_await std::move(loading);
    loader_options options;
    options.batch = static_cast<std::uint64_t>(plan_.evaluation_batch);
    options.shuffle = false;
    options.ranks = static_cast<std::uint64_t>(plan_.ranks);
    options.rank = static_cast<std::uint64_t>(order.rank);
    options.rest = uneven::exact;
    options.bad_samples = plan_.bad_samples;
    loader_type loader(samples, options);
    {
      const training_state state = state_of(ctx, order);
      auto loading_model = load(r.model, state);
      co_await std::move(loading_model);
    }
    at::set_num_threads(plan_.threads);
    r.module->eval();
    detail::step_losses losses(/*finite=*/false);
    for (;;) {
      ctx.stop().check();
      auto next = loader.next();
      auto loaded = co_await std::move(next);
      if (!loaded) break;
      dtask::batch samples_of_step = to_batch(std::move(*loaded));
      if constexpr (!std::is_same_v<Device, cpu_device>) {
        auto starting = device_->start(std::move(samples_of_step));
        auto there = co_await std::move(starting);
        samples_of_step = device_->hand_over(std::move(there));
      }
      detail::tell_libtorch([&] {
        const at::NoGradGuard no_gradients;
        const detail::bf16_scope autocast(plan_.bf16, r.model.device().type());
        const at::Tensor loss = plan_.recipe.loss(*r.module, samples_of_step, answer.counted);
        losses.add(loss, samples_of_step.size(), device_->is_later());
      });
      answer.counted.count(samples_of_step.size());
      answer.samples += samples_of_step.size();
      if constexpr (!std::is_same_v<Device, cpu_device>) {
        auto pacing = device_->pace();
        co_await std::move(pacing);
      }
    }
    if constexpr (!std::is_same_v<Device, cpu_device>) {
      // Nothing to bring, but a thread that need not wait for what is read next.
      auto finishing = device_->copy_out({});
      co_await std::move(finishing);
    }
    losses.settle();
    answer.counted.settle();
    answer.loss = losses.sum();
    const loader_report loading_report = loader.report();
    answer.bad_samples = loading_report.bad_samples;
    name_bad_samples("held-out sample ", loading_report, answer);
    answer.test_fingerprint = samples->fingerprint();
    answer.processor = device_->name();
    auto closing = loader.close();
    co_await std::move(closing);
    co_return answer;
  }

  static void name_bad_samples(const char* what, const loader_report& from, detail::part_answer& to) {
    for (const auto& each : from.named) {
      if (to.bad.size() == most_named) return;
      to.bad.push_back(what + std::to_string(each.sample) +
                       (each.source.empty() ? std::string() : " (" + each.source + ")") + ": " + each.reason);
    }
  }

  loader_options loader_options_of(const detail::part_order& order) const {
    loader_options options;
    options.batch = static_cast<std::uint64_t>(plan_.recipe.batch);
    options.seed = plan_.seed;
    options.ranks = static_cast<std::uint64_t>(plan_.ranks);
    options.rank = static_cast<std::uint64_t>(order.rank);
    options.rest = static_cast<uneven>(plan_.rest);
    options.bad_samples = plan_.bad_samples;
    return options;
  }

  static constexpr std::size_t most_named = 20;
  std::string run_;
  std::uint64_t version_ = 0;
  plan_type plan_{};
  std::unique_ptr<Device> device_;  // outlives what lies on it
  std::unique_ptr<detail::replica<Recipe>> replica_;
};

DTASK_END
