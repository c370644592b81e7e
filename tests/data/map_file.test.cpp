// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/map_file.hpp"

#include <doctest/doctest.h>

#include "data/folder.hpp"

namespace {
dtask::errc code_of(const std::string& path) {
  try {
    static_cast<void>(dtask::map_file(path));
    return dtask::errc::ok;
  } catch (const dtask::error& e) {
    CHECK(e.place() == path);
    return e.code();
  }
}
}  // namespace

TEST_CASE("map_file: the bytes, for as long as any of them are used") {
  const dtask_test::folder folder;
  folder.write("a", "some text");
  dtask::bytes part;
  {
    const dtask::bytes whole = dtask::map_file(folder.path("a"));
    CHECK(whole.view() == "some text");
    part = whole.slice(5);
  }
  CHECK(part.view() == "text");
  folder.write("empty", "");
  CHECK(dtask::map_file(folder.path("empty")).empty());
}

TEST_CASE("map_file: what cannot be mapped has a reason") {
  const dtask_test::folder folder;
  CHECK(code_of(folder.path("none")) == dtask::errc::not_found);
  CHECK(code_of(folder.path()) == dtask::errc::io_error);
  CHECK(code_of("/dev/null") == dtask::errc::io_error);
}
