// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/message_of.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include "dtask/base/error.hpp"

namespace {
struct unnamed : std::exception {
  const char* what() const noexcept override { return nullptr; }
};
struct unnamed_error : dtask::error {
  const char* what() const noexcept override { return nullptr; }
};
}  // namespace

TEST_CASE("message_of: what the exception says; its type where it says nothing") {
  CHECK(dtask::message_of(std::runtime_error("no paper")) == "no paper");
  CHECK(dtask::message_of(std::runtime_error("")) == "");
  const std::string none = dtask::message_of(unnamed());
  CHECK(none.find("unnamed") != std::string::npos);
  CHECK(none.find("what() is null") != std::string::npos);
  CHECK(dtask::message_of(static_cast<const dtask::error&>(unnamed_error())).find("unnamed_error") !=
        std::string::npos);
  CHECK(dtask::message_of(dtask::error(dtask::errc::io_error, "no paper", "here")) == "no paper (here)");
}
