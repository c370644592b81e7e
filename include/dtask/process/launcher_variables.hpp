// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <string_view>

#include "dtask/base/config.hpp"

DTASK_BEGIN

/// The environment variables by which a process learns from a launcher that it is one rank of a world, and where that
/// world meets. They are of that one process: what spawn:// starts inherits none of them. What a launcher says of the
/// allocation (SLURM_JOB_ID) is not among them: a job may ask it for more.
inline constexpr std::array<std::string_view, 28> launcher_variables{
    "DTASK_RANK",
    "DTASK_WORLD",
    "DTASK_COORDINATOR",
    "DTASK_PORT",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_ERROR_FILE",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "PMIX_NAMESPACE",
    "PMIX_RANK",
    "PMIX_SERVER_TMPDIR",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_NUM_NODES",
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_TASKS_PER_NODE",
    "JOB_COMPLETION_INDEX",
};

DTASK_END
