// SPDX-License-Identifier: BSL-1.0
#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include "cuda/cuda_device.hpp"

TEST_CASE("device: kernels are there once the devices were asked for") {
  if (!dtask_test::has_device()) return;
  const at::Tensor a = at::ones({64, 64}, at::TensorOptions(dtask_test::device()));
  CHECK(at::matmul(a, a).sum().item<float>() == 64.0F * 64 * 64);
}
