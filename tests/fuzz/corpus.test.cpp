// SPDX-License-Identifier: BSL-1.0
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "dtask/base/read_file.hpp"
#include "fuzz/target.hpp"

namespace {

std::filesystem::path corpus() {
  const char* const top = std::getenv("DTASK_TEST_SOURCE_DIR");
  REQUIRE_MESSAGE(top != nullptr, "CTest says where the sources are");
  return std::filesystem::path(top) / "tests" / "fuzz" / "corpus";
}

}  // namespace

TEST_CASE("every input of the corpus is handled as the library says") {
  for (const fuzz::target& target : fuzz::targets) {
    const std::string name = target.name;
    CAPTURE(name);
    std::size_t accepted = 0, refused = 0;
    for (const auto& entry : std::filesystem::directory_iterator(corpus() / target.name)) {
      const std::string file = entry.path().string();
      CAPTURE(file);
      const dtask::bytes data = dtask::read_file(file);
      bool right = false;
      CHECK_NOTHROW(right = target.run(data.span()));
      ++(right ? accepted : refused);
    }
    // A corpus that a change of the format has left behind is of little use: dtask_fuzz_seeds makes it anew.
    CHECK(accepted > 0);
    CHECK(refused > 0);
  }
}

TEST_CASE("a folder of the corpus belongs to a target") {
  for (const auto& entry : std::filesystem::directory_iterator(corpus())) {
    const std::string name = entry.path().filename().string();
    CAPTURE(name);
    bool known = false;
    for (const fuzz::target& target : fuzz::targets) known = known || name == target.name;
    CHECK(known);
  }
}
