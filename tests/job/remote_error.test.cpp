// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/remote_error.hpp"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

using dtask::errc;
using dtask::remote_error;

TEST_CASE("remote_error: what a job threw has a type, a message, and a place") {
  const remote_error e(errc::job_failed, "std::out_of_range", "no such thing", "host/w#1, attempt 2", "look elsewhere",
                       2, "host/w#1");
  CHECK(e.code() == errc::job_failed);
  CHECK(e.type() == "std::out_of_range");
  CHECK(e.message() == "no such thing");
  CHECK(e.cause() == "std::out_of_range: no such thing");
  CHECK(e.place() == "host/w#1, attempt 2");
  CHECK(e.remedy() == "look elsewhere");
  CHECK(e.worker() == "host/w#1");
  CHECK(e.attempts() == 2);
  const std::string words = e.what();
  for (const char* part : {"std::out_of_range: no such thing", "host/w#1, attempt 2", "look elsewhere"})
    CHECK(words.find(part) != std::string::npos);
}

TEST_CASE("remote_error: without an exception the message is the cause") {
  const remote_error e(errc::worker_lost, "", "the worker is gone");
  CHECK(e.type().empty());
  CHECK(e.message() == "the worker is gone");
  CHECK(e.cause() == "the worker is gone");
  CHECK(e.worker().empty());
  CHECK(e.attempts() == 0);
}

TEST_CASE("remote_error: none, and one made of an error of this side") {
  const remote_error none;
  CHECK(none.code() == errc::ok);
  CHECK_FALSE(static_cast<bool>(none));
  CHECK(none.type().empty());
  CHECK(none.message().empty());
  CHECK(none.worker().empty());
  const remote_error here(dtask::error(errc::too_large, "9 bytes", "x", "split it"));
  CHECK(here.code() == errc::too_large);
  CHECK(here.type().empty());
  CHECK(here.message() == "9 bytes");
  CHECK(here.place() == "x");
  CHECK(here.remedy() == "split it");
  CHECK(here.attempts() == 0);
}

TEST_CASE("remote_error: copies share their words, outlive the first, and are caught as errors") {
  CHECK(std::is_nothrow_copy_constructible_v<remote_error>);
  remote_error kept;
  {
    const remote_error first(errc::job_failed, "T", std::string(1000, 'm'), {}, {}, 1, "w");
    kept = first;
    CHECK(&kept.message() == &first.message());
  }
  CHECK(kept.message().size() == 1000);
  CHECK(kept.worker() == "w");
  try {
    throw kept;
  } catch (const dtask::error& e) {
    CHECK(e.code() == errc::job_failed);
  }
}
