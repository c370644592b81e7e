// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/device_name.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <string>

using dtask::local_rank;
using dtask::read_device_name;
using dtask::worker_device;

TEST_CASE("device name: cpu, cuda, cuda:N and nothing else") {
  REQUIRE(read_device_name("cpu").has_value());
  CHECK(!read_device_name("cpu")->cuda);
  REQUIRE(read_device_name("cuda").has_value());
  CHECK(read_device_name("cuda")->cuda);
  CHECK(!read_device_name("cuda")->index.has_value());
  CHECK(read_device_name("cuda:0")->index == 0U);
  CHECK(read_device_name("cuda:127")->index == 127U);
  for (const char* bad : {"", "gpu", "cuda:", "cuda:-1", "cuda:128", "cuda: 1", "cuda:1 ", "cuda:+1", "cpu:0", "CUDA"})
    CHECK(!read_device_name(bad).has_value());
}

TEST_CASE("device name: a worker's is the option, then the environment, then the CPU") {
  const auto cause = [](const char* given) {
    try {
      (void)worker_device(given);
    } catch (const dtask::error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  ::unsetenv("DTASK_DEVICE");
  CHECK(worker_device("") == "cpu");
  CHECK(worker_device("cuda:2") == "cuda:2");
  CHECK(cause("fpga").find("--device") != std::string::npos);
  ::setenv("DTASK_DEVICE", "cuda:1", 1);
  CHECK(worker_device("") == "cuda:1");
  CHECK(worker_device("cpu") == "cpu");
  ::setenv("DTASK_DEVICE", "fpga", 1);
  CHECK(cause("").find("DTASK_DEVICE") != std::string::npos);
  CHECK(worker_device("cpu") == "cpu");
  ::setenv("DTASK_DEVICE", "", 1);
  CHECK(worker_device("") == "cpu");
  ::unsetenv("DTASK_DEVICE");
}

TEST_CASE("device name: the rank on the machine, of whoever started this process") {
  const char* const names[] = {"DTASK_LOCAL_RANK", "LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"};
  for (const char* n : names) ::unsetenv(n);
  CHECK(local_rank() == 0);
  unsigned rank = 4;
  for (int i = 3; i >= 0; --i) {
    ::setenv(names[i], std::to_string(--rank + 10).c_str(), 1);
    CHECK(local_rank() == rank + 10);
  }
  ::setenv("DTASK_LOCAL_RANK", "none", 1);
  CHECK(local_rank() == 11);
  for (const char* n : names) ::unsetenv(n);
}
