// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/task/detail/live_task.hpp"

DTASK_BEGIN

/// The async stacks of all live tasks, innermost first: each line names a function and where it awaits. Empty unless
/// built with `DTASK_DEBUG=1`. Thread-safe; tasks run on meanwhile.
inline std::vector<std::vector<std::string>> live_tasks() {
#if DTASK_DEBUG
  return detail::live_task::all();
#else
  return {};
#endif
}

/// Writes `live_tasks()` to a stream, one block per stack.
template <class Stream>
void dump_tasks(Stream& out) {
#if DTASK_DEBUG
  const auto stacks = live_tasks();
  out << stacks.size() << " live tasks\n";
  for (const auto& stack : stacks) {
    out << "task\n";
    for (const std::string& line : stack) out << "  " << line << "\n";
  }
#else
  out << "no registry of live tasks: build with DTASK_DEBUG=1\n";
#endif
}

/// The async stack of an exception at the time it left its first task: that task, who awaited it, and so on to the
/// root. Kept for the last 32 exceptions. Empty unless built with `DTASK_DEBUG=1`.
inline std::vector<std::string> async_backtrace([[maybe_unused]] const std::exception_ptr& e) {
#if DTASK_DEBUG
  return detail::exception_stacks::of(e);
#else
  return {};
#endif
}

DTASK_END
