// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/latch.hpp"

#include <doctest/doctest.h>

#include "manual_scheduler.hpp"

using namespace dtask_test;

namespace {
dtask::task<> wait_for(dtask::latch& l) {
  dtask::latch& same = l;
  co_await same.wait();
}
}  // namespace

TEST_CASE("a latch opens at zero and stays open") {
  manual_scheduler where;
  dtask::latch l(3);
  started t(where, wait_for(l));
  where.run();
  l.count_down();
  l.count_down();
  where.run();
  CHECK_FALSE(t.ended());
  CHECK(l.count() == 1);
  l.count_down(5);
  where.run();
  CHECK(t.ended());
  CHECK(l.count() == 0);
  started late(where, wait_for(l));
  where.run();
  CHECK(late.ended());
}
