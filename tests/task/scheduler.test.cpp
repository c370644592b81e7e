// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/scheduler.hpp"

#include <doctest/doctest.h>

TEST_CASE("a work list keeps the order of its items, also when another is appended") {
  dtask::work_item items[5];
  dtask::work_list a, b;
  CHECK(a.empty());
  a.push(items[0]);
  a.push(items[1]);
  b.push(items[2]);
  b.push(items[3]);
  a.append(std::move(b));
  a.append(dtask::work_list());
  a.push(items[4]);
  CHECK(a.size() == 5);
  CHECK(&a.front() == &items[0]);
  for (auto& item : items) CHECK(a.pop() == &item);
  CHECK(a.pop() == nullptr);
  CHECK(a.empty());
  a.push(items[0]);
  CHECK(a.pop() == &items[0]);
}
