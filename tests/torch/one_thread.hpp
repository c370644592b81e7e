// SPDX-License-Identifier: BSL-1.0
#pragma once
/// Tests that train compute on one thread: LibTorch's threads spin while they wait for each other, which on a busy
/// machine takes a hundred times as long.
#include <ATen/Parallel.h>

namespace dtask_test {

inline const bool one_thread = [] {
  at::set_num_threads(1);
  return true;
}();

}  // namespace dtask_test
