// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/learning_rate.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "dtask/job.hpp"

using doctest::Approx;

TEST_CASE("learning rate: steps") {
  const dtask::step_rate s{.every = 0.25, .factor = 0.5};
  CHECK(s(0) == 1);
  CHECK(s(0.2499) == 1);
  CHECK(s(0.25) == 0.5);
  CHECK(s(0.8) == Approx(0.125));
  // A third of 30 steps is behind step 10, whatever 10.0 / 30 rounds to.
  const dtask::step_rate third;
  CHECK(third(dtask::progress_of(9, 30)) == 1);
  CHECK(third(dtask::progress_of(10, 30)) == Approx(0.1));
  CHECK(third(dtask::progress_of(20, 30)) == Approx(0.01));
  CHECK(dtask::step_rate{.every = 0.1, .factor = 0.5}(dtask::progress_of(3, 10)) == 0.125);  // 0.3 / 0.1 is below 3
}

TEST_CASE("learning rate: cosine, with and without warm-up") {
  const dtask::cosine_rate plain;
  CHECK(plain(0) == 1);
  CHECK(plain(0.5) == Approx(0.5));
  CHECK(plain(1) == Approx(0));
  const dtask::cosine_rate warm{.warm_up = 0.1, .last = 0.2};
  CHECK(warm(0) == 0);
  CHECK(warm(0.05) == Approx(0.5));
  CHECK(warm(0.1) == 1);
  CHECK(warm(0.55) == Approx(0.6));
  CHECK(warm(1) == Approx(0.2));
  CHECK(dtask::cosine_rate{.warm_up = 1}(1) == 1);
}

TEST_CASE("learning rate: one cycle") {
  const dtask::one_cycle_rate cycle;
  CHECK(cycle(0) == Approx(0.1));
  CHECK(cycle(0.1) == Approx(0.55));
  CHECK(cycle(0.2) == 1);
  CHECK(cycle(0.6) == Approx(0.5));
  CHECK(cycle(1) == Approx(0));
  CHECK(dtask::one_cycle_rate{.peak = 0}(0) == 1);
  CHECK(dtask::one_cycle_rate{.peak = 1}(1) == 1);
}

TEST_CASE("learning rate: a schedule travels, and any function is one") {
  const dtask::learning_rate cosine{dtask::cosine_rate{.warm_up = 0.25}};
  const auto got = dtask::decode<dtask::learning_rate>(dtask::encode(cosine));
  CHECK(got == cosine);
  CHECK(dtask::rate_at(got, 0.125) == 0.5);
  CHECK(dtask::rate_at(dtask::learning_rate{}, 0.7) == 1);
  CHECK(dtask::rate_at([](double p) { return 1 - p; }, 0.25) == 0.75);
}

TEST_CASE("learning rate: what is no progress or no factor is refused") {
  CHECK_THROWS_WITH_AS(dtask::rate_at(dtask::learning_rate{}, 1.5), doctest::Contains("not 1.5"), dtask::error);
  CHECK_THROWS_AS(dtask::rate_at(dtask::learning_rate{}, -0.1), dtask::error);
  CHECK_THROWS_AS(dtask::rate_at(dtask::learning_rate{}, std::numeric_limits<double>::quiet_NaN()), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::rate_at(dtask::step_rate{.every = 0}, 0), doctest::Contains("not finite"), dtask::error);
  CHECK_THROWS_WITH_AS(dtask::rate_at([](double) { return -1.0; }, 0.5), doctest::Contains("at progress 0.5 is -1"),
                       dtask::error);
}

TEST_CASE("learning rate: progress") {
  CHECK(dtask::progress_of(0, 10) == 0);
  CHECK(dtask::progress_of(5, 10) == 0.5);
  CHECK(dtask::progress_of(11, 10) == 1);
  CHECK(dtask::progress_of(3, 0) == 0);
}
