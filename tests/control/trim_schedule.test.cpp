// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/trim_schedule.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>

using namespace std::chrono_literals;
using dtask::control::trim_schedule;

namespace {
constexpr std::uint64_t mib = std::uint64_t{1} << 20;
struct watched {
  trim_schedule schedule;
  dtask::time_point now{1h};
  std::uint64_t moved = 0, resident = 100 * mib;
  watched() { CHECK(!schedule.at(now, moved, resident).heaps); }
  /// The next period, in which so much has moved. Whether the heaps were trimmed, which gave `gain` back.
  bool period(std::uint64_t bytes, std::uint64_t gain = 0) {
    moved += bytes;
    now += trim_schedule::period;
    const trim_schedule::due due = schedule.at(now, moved, resident);
    CHECK(due.blocks);
    if (!due.heaps) return false;
    const std::uint64_t before = resident;
    resident -= gain;
    schedule.trimmed(before, resident);
    return true;
  }
};
}  // namespace

TEST_CASE("a period ends once, whoever asks") {
  trim_schedule schedule;
  const dtask::time_point start{1h};
  CHECK(schedule.at(start, 0, 0).blocks);
  CHECK(!schedule.at(start, 0, 0).blocks);
  CHECK(!schedule.at(start + trim_schedule::period - 1ns, 0, 0).blocks);
  CHECK(schedule.at(start + trim_schedule::period, 0, 0).blocks);
}

TEST_CASE("the heaps are trimmed once after a burst, when it is over") {
  watched w;
  for (int i = 0; i < 5; ++i) CHECK(!w.period(0));
  CHECK(!w.period(500 * mib));
  CHECK(!w.period(500 * mib));
  CHECK(w.period(1 * mib));
  for (int i = 0; i < 200; ++i) CHECK(!w.period(0));
}

TEST_CASE("what was in use at the time is trimmed when a little has moved since") {
  watched w;
  CHECK(!w.period(500 * mib));
  CHECK(w.period(0));  // in vain: values are held
  CHECK(!w.period(1 * mib));
  CHECK(w.period(0));  // they were let go, and a small job told of it
  int trims = 0;
  for (int i = 0; i < 240; ++i) trims += w.period(1 * mib);  // ten minutes of small jobs
  CHECK(trims <= 40);
  CHECK(!w.period(500 * mib));
  CHECK(w.period(0));
}

TEST_CASE("payloads that never pause: every half minute") {
  watched w;
  int trims = 0;
  for (int i = 0; i < 48; ++i) trims += w.period(200 * mib);  // two minutes
  CHECK(trims >= 3);
  CHECK(trims <= 5);
}

TEST_CASE("a process that grows though nothing moves is trimmed, less and less often if that is in vain") {
  watched w;
  for (int i = 0; i < 100; ++i) {
    w.resident += 50 * mib;
    CHECK(!w.period(0));  // no payload was ever here: its memory is the program's own business
  }
  const bool at_once = w.period(500 * mib), afterwards = w.period(0);
  CHECK((at_once || afterwards));
  int trims = 0;
  for (int i = 0; i < 240; ++i) {  // ten minutes
    w.resident += 50 * mib;
    trims += w.period(0);
  }
  CHECK(trims >= 3);
  CHECK(trims <= 10);
  trims = 0;
  for (int i = 0; i < 960; ++i) {
    w.resident += 50 * mib;
    trims += w.period(0, 40 * mib);
  }
  CHECK(trims >= 50);  // while it helps: every half minute, of forty
}
