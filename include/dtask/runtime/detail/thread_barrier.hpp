// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dtask/base/config.hpp"

DTASK_BEGIN
namespace detail {

/// Makes every running thread of the process pass a full memory barrier (membarrier, Linux 4.14): the rare side pays,
/// so that the frequent side needs no fence.
class thread_barrier {
 public:
  /// Whether the kernel lets us. Asked once.
  static bool available() noexcept {
    static const bool registered = syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    return registered;
  }
  static void pass() noexcept { syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); }
};

}  // namespace detail
DTASK_END
