// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/shortage.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>
#include <system_error>

TEST_CASE("a shortage of the system has words and a remedy; other failures keep their own words") {
  const auto said = [](int code) {
    return dtask::system_failure(std::error_code(code, std::generic_category()), "the call");
  };
  CHECK(std::string(said(EAGAIN).what()).starts_with("the system has no thread or process left (the call): raise"));
  CHECK(std::string(said(EMFILE).what()).starts_with("the system has no descriptor left (the call): raise"));
  CHECK(std::string(said(ENOMEM).what()).starts_with("the system has no memory or room left (the call): raise"));
  CHECK(std::string(said(EACCES).what()) == "the call");
  CHECK(said(EACCES).code() == dtask::errc::io_error);
  CHECK(dtask::shortage(std::error_code(ENFILE, std::system_category())) == "the system has no descriptor left");
  // A number of another kind of code is no shortage.
  CHECK(dtask::shortage(dtask::make_error_code(static_cast<dtask::errc>(EMFILE))).empty());
}
