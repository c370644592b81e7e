// SPDX-License-Identifier: BSL-1.0
#include "dtask/cli/progress.hpp"

#include <doctest/doctest.h>

#include <chrono>

TEST_CASE("progress: a bar on a terminal, a plain line elsewhere") {
  using namespace std::chrono_literals;
  dtask::progress bar("recognise", 160, true);
  bar.add(40);
  CHECK(bar.line(2s) == "recognise [#######.......................] 40/160 (25 %), 20/s");
  dtask::progress plain("recognise", 160, false);
  plain.add(160);
  CHECK(plain.line(2s) == "recognise 160/160 (100 %), 80/s");
  dtask::progress open("read", 0, false);
  open.add(10);
  CHECK(open.line(1s) == "read 10, 10/s");
  CHECK(bar.done() == 40);
}
