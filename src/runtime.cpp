// SPDX-License-Identifier: BSL-1.0
// The bodies of runtime/, compiled once: for programs that define DTASK_SEPARATE_COMPILATION.
#include "dtask/runtime.hpp"

#include "dtask/runtime/impl/executor_scheduler.ipp"
#include "dtask/runtime/impl/io_scheduler.ipp"
#include "dtask/runtime/impl/io_thread.ipp"
#include "dtask/runtime/impl/offload.ipp"
#include "dtask/runtime/impl/timer_thread.ipp"
#include "dtask/runtime/impl/work_pool.ipp"
