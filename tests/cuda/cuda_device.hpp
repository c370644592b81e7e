// SPDX-License-Identifier: BSL-1.0
#pragma once
// The device on which tests run: without one they say so, and the program ends with CTest's code for "skipped".
#include <cstdio>

#include "dtask/cuda/device.hpp"
#include "program.hpp"

namespace dtask_test {

/// `if (!dtask_test::has_device()) return;`
inline bool has_device() {
  const dtask::cuda::device_list& found = dtask::cuda::devices();
  if (found.devices > 0) return true;
  ++left_out();
  std::printf("left out: this test needs a CUDA device; %s\n", found.reason.c_str());
  return false;
}
inline c10::Device device() { return {c10::DeviceType::CUDA, 0}; }

}  // namespace dtask_test
