// SPDX-License-Identifier: BSL-1.0
// needs: torch
// expect: dtask: LBFGS evaluates the loss several times a step, through a closure
#include "dtask/torch/optimizer_state.hpp"

static_assert(dtask::require_trainable_optimizer<torch::optim::AdamW>());
static_assert(dtask::require_trainable_optimizer<torch::optim::LBFGS>());
