// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"

DTASK_BEGIN

/// The role coordinator: `NAME [--listen HOST:PORT] [--port-file FILE] ...`. It needs no job types and serves any
/// program. Returns the exit code.
///
/// SIGINT and SIGTERM: takes no new jobs, lets the accepted ones end within `--drain-within`, sends the workers home;
/// another one, half a second later or more, ends it at once.
int coordinator_role(int argc, const char* const* argv);

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/cli/impl/coordinator_role.ipp"
#endif
