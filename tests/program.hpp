// SPDX-License-Identifier: BSL-1.0
#pragma once
/// What a test program offers its tests: the data folder, the build folder, and roles for tests that start their own
/// program again.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace dtask_test {

/// The number of tests that left something out for want of data.
inline int& left_out() {
  static int count = 0;
  return count;
}

/// The folder of DTASK_TEST_DATA; without it says so, and the program ends with CTest's code for "skipped" unless a
/// test failed. Use: `auto data = dtask_test::data(); if (!data) return;`
inline std::optional<std::filesystem::path> data() {
  if (const char* folder = std::getenv("DTASK_TEST_DATA"); folder != nullptr && *folder != '\0') return folder;
  ++left_out();
  std::puts("left out: this test needs pictures and weights; set DTASK_TEST_DATA to their folder");
  return std::nullopt;
}

/// The build folder (programs lie in examples/NAME/NAME and tools/NAME/NAME below it) and the source folder; CTest sets
/// both.
inline std::filesystem::path build_dir() {
  const char* folder = std::getenv("DTASK_TEST_BUILD_DIR");
  return folder != nullptr ? folder : std::filesystem::path("/proc/self/exe").parent_path();
}
inline std::filesystem::path source_dir() {
  const char* folder = std::getenv("DTASK_TEST_SOURCE_DIR");
  return folder != nullptr ? folder : std::filesystem::current_path();
}

/// A part that the test program plays when it is started as `PROGRAM --role=NAME ...`. Define one at namespace scope:
/// `const dtask_test::role crash("crash", [](int, char**) -> int { std::abort(); });`
struct role;
inline role*& roles() {
  static role* first = nullptr;
  return first;
}
struct role {
  const char* name;
  int (*run)(int, char**);
  role* next;
  role(const char* n, int (*r)(int, char**)) : name(n), run(r), next(roles()) { roles() = this; }
  role(const role&) = delete;
  role& operator=(const role&) = delete;
};

/// The path of this test program.
inline std::string self() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

}  // namespace dtask_test
