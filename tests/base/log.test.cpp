// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/log.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

TEST_CASE("log: text is escaped and cut") {
  CHECK(dtask::escaped("plain text") == "plain text");
  CHECK(dtask::escaped("two\nlines\t\\") == "two\\nlines\\t\\\\");
  CHECK(dtask::escaped("\x1b[31mred") == "\\x1b[31mred");
  CHECK(dtask::escaped("caf\xc3\xa9") == "caf\\xc3\\xa9");
  CHECK(dtask::escaped(std::string(600, 'a')).size() == 515);
}

TEST_CASE("log: events reach the sink from the level on, one line each") {
  std::vector<std::string> lines;
  dtask::set_log_sink(
      [](dtask::log_level level, std::string_view line, void* user) noexcept {
        static_cast<std::vector<std::string>*>(user)->push_back(std::string(dtask::to_string(level)) + "|" +
                                                                std::string(line));
      },
      &lines);
  dtask::set_log_level(dtask::log_level::info);
  dtask::log(dtask::log_level::debug, "hidden", "x");
  dtask::log(dtask::log_level::info, "worker_joined", "name=a\nb");
  dtask::log(dtask::log_level::error, "alone", "");
  dtask::set_log_sink(nullptr);
  dtask::set_log_level(dtask::log_level::warning);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "info|worker_joined name=a\\nb");
  CHECK(lines[1] == "error|alone");
}
