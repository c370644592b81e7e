// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <mutex>

#include "dtask/base/core_count.hpp"
#include "dtask/base/number.hpp"

DTASK_BEGIN

/// How many of this machine's cores one slot of this process may use: cores / (workers on this machine x `slots`), at
/// least 1.
///
/// `slots`: jobs that this process runs at once, 0 counts as 1. How many workers the machine has says the environment
/// variable DTASK_LOCAL_WORKERS, which spawn:// sets for its children; whoever starts several by hand sets it too.
/// Without it, or with something else than a number, there is one. Thread-safe as long as nobody changes the
/// environment.
inline int thread_share(unsigned slots = 1) {
  const char* const text = std::getenv("DTASK_LOCAL_WORKERS");
  const unsigned workers = std::clamp(read_number<unsigned>(text != nullptr ? text : "").value_or(1), 1U, 4096U);
  const unsigned long long shares = 1ULL * workers * std::max(slots, 1U);
  return static_cast<int>(std::max(1ULL, usable_cores() / shares));
}

/// Gives LibTorch this process's share of the cores: that many threads within one operation, and one between
/// operations. The first call of a process decides, further ones do nothing. Thread-safe.
///
/// `slots`: as above; a job's constructor has them from `worker_context::slots()`.
inline void share_cores(unsigned slots = 1) {
  static std::once_flag once;
  std::call_once(once, [slots] {
    at::set_num_threads(thread_share(slots));
    try {
      at::set_num_interop_threads(1);
    } catch (const std::exception&) {
      // The program has already used or set them: then they stay as they are.
    }
  });
}

DTASK_END
