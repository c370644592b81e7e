// SPDX-License-Identifier: BSL-1.0
#include "dtask/cuda/poll_schedule.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <vector>

using namespace std::chrono_literals;
using dtask::cuda::poll_options;
using dtask::cuda::poll_schedule;

TEST_CASE("poll schedule: without a pause at first, then a share of the wait within its bounds") {
  const poll_options options{.spin = 100us, .shortest = 10us, .longest = 50us, .watchdog = 20ms};
  poll_schedule s(options);
  const dtask::time_point begin{1h};
  s.news(begin);
  CHECK(s.pause(begin, false) == 0us);
  CHECK(s.pause(begin + 99us, false) == 0us);
  CHECK(s.pause(begin + 100us, false) == 10us);
  CHECK(s.pause(begin + 320us, false) == 20us);
  CHECK(s.pause(begin + 10ms, false) == 50us);
  // What comes late is seen at most its 16th late, or `longest`.
  s.news(begin + 10ms);
  CHECK(s.pause(begin + 10ms, false) == 0us);
}

TEST_CASE("poll schedule: what host functions report is looked at by the watchdog alone") {
  poll_schedule s({.watchdog = 7ms});
  const dtask::time_point begin{1h};
  s.news(begin);
  CHECK(s.pause(begin, true) == 7ms);
  CHECK(s.pause(begin + 1h, true) == 7ms);
}

TEST_CASE("poll schedule: looks and delay of a wait, on virtual time") {
  const poll_options options;
  for (const auto length : {1us, 50us, 150us, 1000us, 20'000us}) {
    poll_schedule s(options);
    dtask::time_point now{1h};
    const dtask::time_point ends = now + length;
    s.news(now);
    long looks = 0;
    while (now < ends) {
      ++looks;
      const auto pause = s.pause(now, false);
      now += pause > 0us ? pause : 1us;  // a look takes about one
    }
    CHECK(now - ends <= options.longest);
    CHECK(now - ends <= std::max<dtask::duration>(options.shortest, length / 16));
    CHECK(looks <= 100 + 16 + (length > 150us ? (length - 150us) / 10us : 0));
  }
}

TEST_CASE("poll schedule: times that are not in order are refused") {
  const std::vector<poll_options> bad{{.spin = -1us}, {.shortest = 0us}, {.shortest = 60us}, {.watchdog = 49us}};
  for (const poll_options& o : bad) CHECK_THROWS_AS(poll_schedule{o}, dtask::error);
  CHECK_NOTHROW(poll_schedule{{.spin = 0us}});
}
