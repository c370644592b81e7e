// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/blob_source.hpp"

#include <doctest/doctest.h>

#include <string>

using dtask::blob_source;

TEST_CASE("blob_source: what is here is given with its version, also when it is empty") {
  const dtask::blob one = dtask::detail::held_blob({dtask::bytes::copy("x"), 4, true}, "name", "w");
  CHECK(one.view() == "x");
  CHECK(one.version == 4);
  CHECK(dtask::detail::held_blob({{}, 1, true}, "name", "w").view().empty());
}

TEST_CASE("blob_source: what is not here says why, where, and what to do instead") {
  const auto refused = [](blob_source::found found) {
    try {
      dtask::detail::held_blob(std::move(found), "weights", "host/w#1");
    } catch (const dtask::error& e) {
      CHECK(e.code() == dtask::errc::not_found);
      CHECK(e.place() == "host/w#1");
      CHECK(e.cause().find("'weights'") != std::string::npos);
      return e.remedy();
    }
    FAIL("given");
    return std::string();
  };
  CHECK(refused({}).find("cluster.broadcast") != std::string::npos);
  CHECK(refused({{}, 2, false}).find("ctx.fetch") != std::string::npos);
  // One that was never there is not fetched.
  CHECK(refused({{}, 0, false}).find("cluster.broadcast") != std::string::npos);
}
