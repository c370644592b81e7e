// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdlib>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// The environment variable that spawn:// sets for its children: they are to be workers. While a process has it, it is
/// refused a spawn:// of its own, since a program that names itself and plays no worker would start processes without
/// end.
inline constexpr const char* spawned_variable = "DTASK_SPAWNED";

/// Whether spawn:// started this process, taken out of the environment, so that what its jobs start is nobody's worker.
/// `worker_role` does this; a `main` that plays the worker itself, with a `dtask::worker`, calls it first. Not
/// thread-safe: it changes the environment.
inline bool take_spawned() {
  const bool spawned = std::getenv(spawned_variable) != nullptr;
  ::unsetenv(spawned_variable);
  return spawned;
}

DTASK_END
