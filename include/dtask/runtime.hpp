// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The room runtime/: where tasks run. Threads, Asio, and the ways between both.
#include "dtask/runtime/as_task.hpp"
#include "dtask/runtime/asio_scheduler.hpp"
#include "dtask/runtime/co_spawn.hpp"
#include "dtask/runtime/executor_scheduler.hpp"
#include "dtask/runtime/io_scheduler.hpp"
#include "dtask/runtime/io_thread.hpp"
#include "dtask/runtime/offload.hpp"
#include "dtask/runtime/use_task.hpp"
#include "dtask/runtime/wait_signal.hpp"
#include "dtask/runtime/work_pool.hpp"
