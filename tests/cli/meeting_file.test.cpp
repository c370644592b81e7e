// SPDX-License-Identifier: BSL-1.0
// The file in which rank 0 says where it listens.
#include "dtask/cli/detail/meeting_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "temporary_folder.hpp"

using dtask::detail::meeting;
using dtask::detail::meeting_file;

TEST_CASE("meeting file: there while rank 0 lives, for its user alone, gone with it") {
  const dtask_test::temporary_folder folder;
  const std::string path = folder.path() / "meeting";
  CHECK_FALSE(meeting_file::read(path));
  {
    const meeting_file file(path, {7700, 18446744073709551615u, 3});
    struct stat found{};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0600);
    const auto met = meeting_file::read(path);
    REQUIRE(met);
    CHECK(met->port == 7700);
    CHECK(met->cookie == 18446744073709551615u);
    CHECK(met->world == 3);
    CHECK(folder.names().size() == 1);
  }
  CHECK_FALSE(meeting_file::read(path));
  CHECK(folder.names().empty());
}

TEST_CASE("meeting file: what nobody holds any more is not believed, and is replaced") {
  const dtask_test::temporary_folder folder;
  const std::string path = folder.path() / "meeting";
  std::ofstream(path) << "7700 5 2\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  CHECK_FALSE(meeting_file::read(path));
  std::optional<meeting_file> first;
  first.emplace(path, meeting{7701, 6, 2});
  CHECK(meeting_file::read(path).value().port == 7701);
  // Another takes its name; the end of the first leaves that alone.
  const meeting_file second(path, {7702, 7, 2});
  first.reset();
  CHECK(meeting_file::read(path).value().port == 7702);
}

TEST_CASE("meeting file: what others could have written is refused") {
  const dtask_test::temporary_folder folder;
  const std::string path = folder.path() / "meeting";
  const auto refused = [&] {
    try {
      static_cast<void>(meeting_file::read(path));
    } catch (const dtask::error& e) {
      return e.code() == dtask::errc::io_error && e.place() == path;
    }
    return false;
  };
  {
    const meeting_file file(path, {7700, 5, 2});
    REQUIRE(::chmod(path.c_str(), 0644) == 0);
    CHECK(refused());
  }
  std::filesystem::create_symlink("elsewhere", path);
  CHECK(refused());
  std::filesystem::remove(path);
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK(refused());
  std::filesystem::remove(path);

  dtask::launch l;
  l.meeting = "x";
  l.folder = folder.path();
  CHECK(meeting_file::path_of(l) == folder.path() / "x");
  REQUIRE(::chmod(folder.path().c_str(), 0777) == 0);
  CHECK_THROWS_AS(meeting_file::path_of(l), dtask::error);
  REQUIRE(::chmod(folder.path().c_str(), 0700) == 0);
  // Without a folder of the launcher there is one of the user.
  l.folder = "";
  const std::string own = meeting_file::path_of(l);
  struct stat found{};
  REQUIRE(::lstat(std::filesystem::path(own).parent_path().c_str(), &found) == 0);
  CHECK(found.st_uid == ::geteuid());
  CHECK((found.st_mode & 022) == 0);
}
