// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/replace_file.hpp"

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "dtask/base/read_file.hpp"
#include "temporary_folder.hpp"

namespace fs = std::filesystem;

namespace {
dtask::bytes text(const std::string& t) { return dtask::bytes::copy(t); }
void write(const fs::path& path, const std::vector<dtask::bytes>& pieces) {
  dtask::replace_file(path.string(), pieces);
}
std::string contents(const fs::path& path) { return std::string(dtask::read_file(path.string()).view()); }
}  // namespace

TEST_CASE("replace file: pieces, one after the other, in place of what was there") {
  const dtask_test::temporary_folder folder;
  const fs::path file = folder.path() / "a";
  write(file, {text("one"), {}, text(" two")});
  CHECK(contents(file) == "one two");
  write(file, {text("x")});
  CHECK(contents(file) == "x");
  write(file, {});
  CHECK(contents(file).empty());
  CHECK(folder.names() == std::vector<std::string>{"a"});
  const std::string large(3 << 20, 'y');
  write(file, {text(large), text("end")});
  CHECK(contents(file) == large + "end");
}

TEST_CASE("replace file: a part that a killed program left is overwritten") {
  const dtask_test::temporary_folder folder;
  const fs::path file = folder.path() / "a";
  write(dtask::part_of_file(file.string()), {text("a long rest of something")});
  write(file, {text("new")});
  CHECK(contents(file) == "new");
  CHECK(folder.names() == std::vector<std::string>{"a"});
}

TEST_CASE("replace file: a full disk names file and cause, and the old file stays whole") {
  if (!fs::exists("/dev/full")) return;
  const dtask_test::temporary_folder folder;
  const fs::path file = folder.path() / "a";
  write(file, {text("old")});
  fs::create_symlink("/dev/full", dtask::part_of_file(file.string()));
  CHECK_THROWS_WITH_AS(write(file, {text("new")}),
                       doctest::Contains(("No space left on device (" + file.string() + ")").c_str()), dtask::error);
  CHECK(contents(file) == "old");
  CHECK(folder.names() == std::vector<std::string>{"a"});
}

TEST_CASE("replace file: folders that are missing, and names that are folders") {
  const dtask_test::temporary_folder folder;
  CHECK_THROWS_WITH_AS(write(folder.path() / "none" / "a", {text("x")}), doctest::Contains("No such file or directory"),
                       dtask::error);
  fs::create_directory(folder.path() / "b");
  CHECK_THROWS_AS(write(folder.path() / "b", {text("x")}), dtask::error);
  CHECK(folder.names() == std::vector<std::string>{"b"});
}
