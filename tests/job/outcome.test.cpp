// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/outcome.hpp"

#include <doctest/doctest.h>

#include "dtask/base/result.hpp"

TEST_CASE("outcome: a value, or why there is none") {
  const dtask::outcome<int> good(3, "host/one#1", 2);
  CHECK(good.value() == 3);
  CHECK(good.worker() == "host/one#1");
  CHECK(good.attempts() == 2);
  const dtask::outcome<int> bad(dtask::remote_error(dtask::errc::job_failed, "busy", "no", {}, {}, 4, "host/two#2"));
  CHECK_FALSE(bad);
  CHECK(bad.error().code() == dtask::errc::job_failed);
  CHECK(bad.worker() == "host/two#2");
  CHECK(bad.attempts() == 4);
  CHECK_THROWS_AS(static_cast<void>(bad.value()), dtask::remote_error);
}

TEST_CASE("outcome: the error of one that has a value is none") {
  const auto none = [](const auto& e) {
    CHECK(e.code() == dtask::errc::ok);
    CHECK_FALSE(static_cast<bool>(e));
    CHECK(e.cause().empty());
  };
  none(dtask::outcome<int>(3, "host/one#1", 1).error());
  none(dtask::outcome<>({}, {}, 1).error());
  none(dtask::result<int>(3).error());
}
