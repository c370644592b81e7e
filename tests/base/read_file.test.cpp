// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/read_file.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {
struct temporary {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("dtask_read_file_" + std::to_string(::getpid()));
  explicit temporary(const std::string& text) { std::ofstream(path, std::ios::binary) << text; }
  ~temporary() { std::filesystem::remove(path); }
};
dtask::errc code_of(const std::string& path, std::uint64_t limit = 1 << 20) {
  try {
    (void)dtask::read_file(path, limit);
  } catch (const dtask::error& e) {
    return e.code();
  }
  return dtask::errc::ok;
}
}  // namespace

TEST_CASE("read_file: the whole file, zero bytes included") {
  const temporary file(std::string("a\0b\n", 4));
  CHECK(dtask::read_file(file.path.string()).view() == std::string_view("a\0b\n", 4));
}

TEST_CASE("read_file: an empty file") {
  const temporary file("");
  CHECK(dtask::read_file(file.path.string()).empty());
}

TEST_CASE("read_file: each failure has its code and names the file") {
  const temporary file("12345");
  CHECK(code_of(file.path.string(), 5) == dtask::errc::ok);
  CHECK(code_of(file.path.string(), 4) == dtask::errc::too_large);
  CHECK(code_of(file.path.string() + ".none") == dtask::errc::not_found);
  CHECK(code_of(std::filesystem::temp_directory_path().string()) == dtask::errc::io_error);
  CHECK(code_of("/dev/zero") == dtask::errc::io_error);
}
