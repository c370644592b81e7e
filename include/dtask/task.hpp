#pragma once
/// The room task/: task<T> and what tasks are joined and stopped with.
#include "dtask/task/environment.hpp"
#include "dtask/task/scheduler.hpp"
#include "dtask/task/stop.hpp"
#include "dtask/task/sync_wait.hpp"
#include "dtask/task/task.hpp"
