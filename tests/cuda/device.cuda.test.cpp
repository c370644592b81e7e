// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/device.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <string>

#include "cuda/cuda_device.hpp"
#include "dtask/cuda/device_error.hpp"
#include "dtask/job/job_context.hpp"
#include "task/manual_scheduler.hpp"

using dtask::cuda::read_device;
using dtask_test::cause_of;

TEST_CASE("device: names") {
  CHECK(read_device("cpu").is_cpu());
  CHECK(read_device("cuda") == c10::Device(c10::DeviceType::CUDA, 0));
  CHECK(read_device("cuda:0") == c10::Device(c10::DeviceType::CUDA, 0));
  CHECK(read_device("cuda:7") == c10::Device(c10::DeviceType::CUDA, 7));
  CHECK(read_device("cuda:127").index() == 127);
  for (const char* bad :
       {"", "gpu", "cuda:", "cuda:-1", "cuda:128", "cuda: 1", "cuda:1 ", "cpu:0", "CUDA", "cuda:99999999999"})
    CHECK(cause_of([&] { (void)read_device(bad); }) == dtask::errc::invalid_argument);
}

TEST_CASE("device: what is not there is refused, with the reason") {
  const auto& found = dtask::cuda::devices();
  CHECK((found.devices > 0) == found.reason.empty());
  CHECK_NOTHROW(dtask::cuda::require_device(read_device("cpu")));
  try {
    dtask::cuda::require_device(read_device("cuda:120"));
    FAIL("nobody has so many");
  } catch (const dtask::error& e) {
    CHECK(e.code() == dtask::errc::not_found);
    CHECK(e.cause().find("cuda:120") != std::string::npos);
    CHECK((found.devices > 0 || e.cause().find(found.reason) != std::string::npos));
  }
}

TEST_CASE("device: that of a job's worker") {
  dtask::job_context outside({}, dtask::never, 1, 0, "nobody");
  CHECK(dtask::cuda::device_of(outside).is_cpu());
}

TEST_CASE("device: workers of one machine share its devices by their rank") {
  ::setenv("DTASK_LOCAL_RANK", "5", 1);
  const int devices = std::max(1, dtask::cuda::devices().devices);
  CHECK(read_device("cuda").index() == 5 % devices);
  CHECK(read_device("cuda:3").index() == 3);
  ::unsetenv("DTASK_LOCAL_RANK");
}

TEST_CASE("device error: names CUDA's code") {
  const dtask::cuda::device_error e(cudaErrorIllegalAddress);
  CHECK(e.code() == dtask::errc::io_error);
  CHECK(e.status() == cudaErrorIllegalAddress);
  CHECK(std::string(e.what()).find("cudaErrorIllegalAddress") != std::string::npos);
  CHECK_NOTHROW(dtask::cuda::detail::check(cudaSuccess));
  CHECK_THROWS_AS(dtask::cuda::detail::check(cudaErrorInvalidValue), dtask::cuda::device_error);
}
