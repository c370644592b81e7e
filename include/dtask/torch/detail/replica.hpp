// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/torch/flat_model.hpp"
#include "dtask/torch/learning_rate.hpp"
#include "dtask/torch/recipe.hpp"

DTASK_BEGIN
namespace detail {

/// A model with its optimizer, as a recipe makes them.
template <class Recipe>
struct replica {
  using module_type = recipe_module<Recipe>;

  explicit replica(const Recipe& recipe, at::Device device = at::kCPU)
      : module(moved(recipe.model(), device)), model(module), optimizer(make(recipe, *module)), rates(*optimizer) {}

  static std::shared_ptr<module_type> moved(std::shared_ptr<module_type> module, at::Device device) {
    if (module && !device.is_cpu()) module->to(device);
    return module;
  }

  static std::unique_ptr<recipe_optimizer<Recipe>> make(const Recipe& recipe, module_type& module) {
    std::unique_ptr<recipe_optimizer<Recipe>> made = recipe.optimizer(module.parameters());
    if (!made) throw error(errc::invalid_argument, "the recipe makes no optimizer", "recipe");
    return made;
  }

  std::shared_ptr<module_type> module;
  flat_model model;
  std::unique_ptr<recipe_optimizer<Recipe>> optimizer;
  learning_rate_scale rates;
};

}  // namespace detail
DTASK_END
