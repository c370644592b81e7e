// SPDX-License-Identifier: BSL-1.0
// The bodies of cli/, compiled once: for programs that define DTASK_SEPARATE_COMPILATION.
#include "dtask/cli.hpp"

#include "dtask/cli/impl/coordinator_role.ipp"
#include "dtask/cli/impl/launch.ipp"
#include "dtask/cli/impl/main.ipp"
#include "dtask/cli/impl/status_role.ipp"
#include "dtask/cli/impl/worker_role.ipp"
