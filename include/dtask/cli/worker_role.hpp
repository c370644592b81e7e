// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/job/registry.hpp"

DTASK_BEGIN

/// The role worker: `NAME --connect tcp://HOST:PORT [--slots N] [--name WORD] ...`, `argv[0]` being what stands for the
/// program in its messages. Returns the exit code.
///
/// SIGINT and SIGTERM: takes no new jobs, finishes the running ones within `--drain-within`, leaves; another
/// one, half a second later or more, stops them.
int worker_role(int argc, const char* const* argv, std::span<const job_entry> jobs);

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/cli/impl/worker_role.ipp"
#endif
