// SPDX-License-Identifier: BSL-1.0
#include <ATen/Functions.h>

#include <cstdio>
#include <dtask/torch.hpp>

int main() {
  const dtask::safetensor there = dtask::to_safetensor("ones", at::ones({6, 7}));
  std::printf("%d\n", dtask::to_tensor(there).sum().item<int>());
}
