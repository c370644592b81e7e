// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/cli/exit_code.hpp"
#include "dtask/node/worker.hpp"

DTASK_BEGIN
namespace detail {

/// Explains the end of a worker, and gives the exit code.
inline int explain_end(const worker_exit& how, const std::string& program) {
  int code = exit_code::success;
  switch (how.reason) {
    case exit_reason::drained:
    case exit_reason::stopped:
      break;
    case exit_reason::refused:
    case exit_reason::unreachable:
      complain(program, how.why.what());
      code = exit_code::cluster;
      break;
    case exit_reason::no_slots:
      complain(program,
               "all slots are held by jobs that ignore stop: let such jobs ask ctx.stop().check(), and start "
               "this worker anew");
      code = exit_code::no_slots;
      break;
  }
  return code;
}

}  // namespace detail
DTASK_END
