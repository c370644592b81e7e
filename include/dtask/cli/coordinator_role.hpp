// SPDX-License-Identifier: BSL-1.0
#pragma once
#include "dtask/base/config.hpp"

DTASK_BEGIN

/// The role coordinator: `NAME [--listen HOST:PORT] [--port-file FILE] ...`. It needs no job types and serves any
/// program. Returns the exit code.
///
/// SIGINT and SIGTERM: lets the accepted jobs end within `--drain-within` and begins no new ones; clients and workers
/// wait for another coordinator, but for workers that `--send-home` sends home. Another one, half a second later or
/// more, ends it at once.
int coordinator_role(int argc, const char* const* argv);

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/cli/impl/coordinator_role.ipp"
#endif
