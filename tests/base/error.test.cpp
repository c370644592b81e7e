// SPDX-License-Identifier: BSL-1.0
#include "dtask/base/error.hpp"

#include <doctest/doctest.h>

#include <string>
#include <system_error>

#include "dtask/base/result.hpp"

TEST_CASE("error: one line of cause, place and remedy") {
  const dtask::error e(dtask::errc::unreachable, "no connection", "127.0.0.1:7700", "start a coordinator there");
  CHECK(std::string(e.what()) == "no connection (127.0.0.1:7700): start a coordinator there");
  CHECK(e.code() == dtask::errc::unreachable);
  CHECK(e.cause() == "no connection");
  CHECK(e.place() == "127.0.0.1:7700");
  CHECK(e.remedy() == "start a coordinator there");
}

TEST_CASE("error: without words it is its code's word") {
  CHECK(std::string(dtask::error(dtask::errc::cancelled).what()) == "cancelled");
  CHECK(!dtask::error());
  CHECK(std::string(dtask::error().what()) == "ok");
}

TEST_CASE("error: every code has a word of its own") {
  int named = 0;
  for (int i = 0; i < 64; ++i) named += dtask::to_string(static_cast<dtask::errc>(i)) != "unknown";
  CHECK(named == 25);
}

TEST_CASE("error: an errc is a std::error_code") {
  const std::error_code ec = dtask::errc::too_large;
  CHECK(ec.category().name() == std::string("dtask"));
  CHECK(ec.message() == "too_large");
}

TEST_CASE("result: a value or an error") {
  dtask::result<int> good = 7;
  CHECK(good.has_value());
  CHECK(*good == 7);
  dtask::result<int> bad = dtask::error(dtask::errc::not_found, "no such file");
  CHECK(!bad);
  CHECK(bad.error().code() == dtask::errc::not_found);
  CHECK_THROWS_AS(bad.value(), dtask::error);
  dtask::result<void> done;
  CHECK(done.has_value());
  dtask::result<void> failed = dtask::error(dtask::errc::io_error);
  CHECK_THROWS_AS(failed.value(), dtask::error);
}
