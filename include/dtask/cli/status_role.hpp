// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"

DTASK_BEGIN

/// The role status: `NAME --on tcp://HOST:PORT [--json]` prints what a coordinator counts: workers, slots, jobs by
/// state, bytes. Returns the exit code.
int status_role(int argc, const char* const* argv);

/// A status as a readable table, several lines.
std::string status_table(const cluster_status& report);
/// A status as one line of JSON.
std::string status_json(const cluster_status& report);

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/cli/impl/status_role.ipp"
#endif
