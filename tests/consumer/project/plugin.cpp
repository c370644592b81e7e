// SPDX-License-Identifier: BSL-1.0
#include <dtask/dtask.hpp>

extern "C" unsigned workers_of(const char* url) {
  return static_cast<unsigned>(dtask::sync_wait(dtask::query_status(url)).workers.size());
}
