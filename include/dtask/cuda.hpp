// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The room cuda/: cuda.
#include "dtask/cuda/event_watch.hpp"
#include "dtask/cuda/poll_schedule.hpp"
