#pragma once
/// The room control/: what is decided.
#include "dtask/control/action.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/control/coordinator_state.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/worker_state.hpp"
