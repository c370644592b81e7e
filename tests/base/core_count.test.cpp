// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/core_count.hpp"

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "temporary_folder.hpp"

using dtask::detail::cores_of_quota;
using dtask::detail::quota_of_group;

TEST_CASE("core count: a quota is rounded up, and nothing else is one") {
  CHECK(cores_of_quota("100000 100000") == 1);
  CHECK(cores_of_quota("150000 100000") == 2);
  CHECK(cores_of_quota("1000 100000") == 1);
  CHECK(cores_of_quota("6400000 100000") == 64);
  for (const char* none : {"max 100000", "max", "", " ", "0 100000", "100000 0", "-1 100000", "1e5 100000", "1 2 3"})
    CHECK(cores_of_quota(none) == 0);
}

TEST_CASE("core count: the smallest quota on the way to the root counts") {
  const dtask_test::temporary_folder folder;
  const std::string root = folder.path();
  const auto put = [&](const std::string& group, const char* line) {
    std::filesystem::create_directories(root + group);
    std::ofstream(root + group + "/cpu.max") << line << "\n";
  };
  put("/pods/a/b", "max 100000");
  CHECK(quota_of_group(root, "0::/pods/a/b") == 0);
  put("/pods", "300000 100000");
  CHECK(quota_of_group(root, "0::/pods/a/b") == 3);
  put("/pods/a/b", "500000 100000");
  CHECK(quota_of_group(root, "0::/pods/a/b") == 3);
  put("/pods/a", "200000 100000");
  CHECK(quota_of_group(root, "0::/pods/a/b") == 2);
  CHECK(quota_of_group(root, "0::/pods") == 3);
  CHECK(quota_of_group(root, "0::/") == 0);
  put("", "100000 100000");  // what a container sees as its root
  CHECK(quota_of_group(root, "0::/") == 1);
  for (const char* other : {"", "0::", "12:cpu:/pods", "pods"}) CHECK(quota_of_group(root, other) == 0);
}

TEST_CASE("core count: a process that is bound to one core has one") {
  CHECK(dtask::usable_cores() >= 1);
  CHECK(dtask::usable_cores() <= std::thread::hardware_concurrency());
  // Another process, of one thread: nothing here has asked before it binds itself.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::cpu_set_t mask;
    ::sched_getaffinity(0, sizeof mask, &mask);
    int first = 0;
    while (!CPU_ISSET(first, &mask)) ++first;
    CPU_ZERO(&mask);
    CPU_SET(first, &mask);
    ::sched_setaffinity(0, sizeof mask, &mask);
    ::execl("/proc/self/exe", "core count", "--no-skip", "--test-case=core count of a bound process", nullptr);
    ::_exit(99);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("core count of a bound process" * doctest::skip()) { CHECK(dtask::usable_cores() == 1); }
