// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <torch/nn/module.h>
#include <torch/optim/optimizer.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/data/dataset.hpp"
#include "dtask/data/idx_dataset.hpp"
#include "dtask/job/job_context.hpp"
#include "dtask/job/travels.hpp"
#include "dtask/torch/batch.hpp"
#include "dtask/torch/optimizer_state.hpp"
#include "dtask/torch/tally.hpp"

DTASK_BEGIN

/// The parameters of a model, as a recipe gives them to an optimizer.
using parameters = std::vector<at::Tensor>;

namespace detail {

template <class R>
using recipe_module = typename std::remove_cvref_t<decltype(std::declval<const R&>().model())>::element_type;
template <class R>
using recipe_optimizer = typename std::remove_cvref_t<decltype(std::declval<const R&>().optimizer(
    std::declval<parameters>()))>::element_type;

template <class R>
concept data_with_context = requires(const R& r, job_context& ctx) { r.data(split::train, ctx); };
template <class R>
concept data_alone = requires(const R& r) { r.data(split::train); };

template <class R>
auto data_of(const R& recipe, split which, job_context& ctx) {
  if constexpr (data_with_context<R>)
    return recipe.data(which, ctx);
  else
    return recipe.data(which);
}
template <class R>
using recipe_data = settled_t<decltype(data_of(std::declval<const R&>(), split::train, std::declval<job_context&>()))>;

}  // namespace detail

/// What is trained: plain data that travels, with functions that run where the work runs.
///
/// - `std::int32_t batch`: samples of one rank in a batch.
/// - `auto model() const`: a `std::shared_ptr` of a `torch::nn::Module`, with its first weights.
/// - `auto optimizer(dtask::parameters) const`: a `std::unique_ptr` of one of LibTorch's optimizers over them (SGD,
///   Adam, AdamW, RMSprop, Adagrad).
/// - `data(dtask::split) const`, or `data(dtask::split, dtask::job_context&) const`: a dataset (see `dtask::dataset`)
///   for training, or held out, or a task of one. Made once per worker.
/// - `at::Tensor loss(Module&, const dtask::batch&, dtask::tally&) const`: the mean loss over the batch; counts what it
///   wants to be known, under any names.
/// - `double rate(double progress) const`, optional: the learning rate's factor, in place of the options' schedule.
template <class R>
concept is_recipe = std::is_class_v<R> && requires(const R& r) {
  { r.batch } -> std::convertible_to<std::int64_t>;
  { r.model() } -> std::convertible_to<std::shared_ptr<::torch::nn::Module>>;
  { r.optimizer(parameters()) } -> std::convertible_to<std::unique_ptr<::torch::optim::Optimizer>>;
} && (detail::data_alone<R> || detail::data_with_context<R>);

/// True for a recipe; otherwise one sentence at compile time.
template <class R>
consteval bool require_recipe() {
  static_assert(
      requires(const R& r) {
        { r.batch } -> std::convertible_to<std::int64_t>;
      }, "dtask: a recipe has a member `std::int32_t batch`: samples of one rank in a batch");
  static_assert(
      requires(const R& r) {
        { r.model() } -> std::convertible_to<std::shared_ptr<::torch::nn::Module>>;
      }, "dtask: a recipe has `auto model() const`, which returns a std::shared_ptr of a torch::nn::Module");
  static_assert(
      requires(const R& r) {
        { r.optimizer(parameters()) } -> std::convertible_to<std::unique_ptr<::torch::optim::Optimizer>>;
      },
      "dtask: a recipe has `auto optimizer(dtask::parameters) const`, which returns a std::unique_ptr of one of "
      "LibTorch's optimizers");
  static_assert(detail::data_alone<R> || detail::data_with_context<R>,
                "dtask: a recipe has `data(dtask::split) const`, which returns a dataset or a task of one");
  if constexpr (is_recipe<R>) {
    using module = detail::recipe_module<R>;
    static_assert(dataset<detail::recipe_data<R>>,
                  "dtask: what a recipe's data() gives is a dataset: see dtask::dataset");
    static_assert(
        requires(const R& r, module& m, const dtask::batch& b, tally& t) {
          { r.loss(m, b, t) } -> std::convertible_to<at::Tensor>;
        }, "dtask: a recipe has `at::Tensor loss(Module&, const dtask::batch&, dtask::tally&) const`");
    return require_travels<R>() && require_trainable_optimizer<detail::recipe_optimizer<R>>();
  }
  return false;
}

DTASK_END
