// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <dtask/cuda.hpp>
#include <dtask/task/sync_wait.hpp>

int main() {
  const dtask::cuda::device_list& found = dtask::cuda::devices();
  if (found.devices < 1 && found.reason.empty()) return 1;
  if (found.devices > 0) dtask::sync_wait(dtask::cuda::stream_done(c10::cuda::getDefaultCUDAStream(0)));
  std::puts("42");
  return 0;
}
