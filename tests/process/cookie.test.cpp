// SPDX-License-Identifier: BSL-1.0
#include "dtask/process/cookie.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <string>

TEST_CASE("cookie: a number of the environment, taken out of it") {
  const auto take = [](const char* text) {
    ::setenv(dtask::cookie_variable, text, 1);
    return dtask::take_cookie();
  };
  ::unsetenv(dtask::cookie_variable);
  CHECK(dtask::take_cookie() == 0);
  CHECK(take("18446744073709551615") == 18446744073709551615u);
  CHECK(std::getenv(dtask::cookie_variable) == nullptr);
  // With none a coordinator would let everybody in.
  for (const char* wrong : {"", "0", "secret", "12x", "-1", " 1", "18446744073709551616", "0x10"}) {
    CAPTURE(wrong);
    try {
      take(wrong);
      FAIL("taken");
    } catch (const dtask::error& e) {
      CHECK(e.code() == dtask::errc::invalid_argument);
      CHECK(e.place() == dtask::cookie_variable);
      CHECK((*wrong == 's' ? std::string(e.what()).find(wrong) : std::string::npos) == std::string::npos);
    }
    CHECK(std::getenv(dtask::cookie_variable) == nullptr);
  }
}
