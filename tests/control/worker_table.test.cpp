// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/worker_table.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace dtask;
using namespace dtask::control;

TEST_CASE("worker_class: the least loaded first, equals take turns, and who takes nothing is not found") {
  constexpr std::uint16_t out = 0xffff;
  worker_table workers;
  worker_class kind;
  std::uint16_t level = 1;
  CHECK(kind.least(level) == none);
  CHECK(level == out);
  const std::uint32_t a = workers.insert(), b = workers.insert(), c = workers.insert();
  kind.place(workers, a, 5);
  kind.place(workers, b, 5);
  kind.place(workers, c, worker_class::top);
  CHECK(kind.least(level) == a);
  CHECK(level == 5);
  // Placed where it is already, it keeps its turn; placed elsewhere and back, it goes to the end.
  kind.place(workers, a, 5);
  CHECK(kind.least(level) == a);
  kind.place(workers, a, 6);
  kind.place(workers, a, 5);
  CHECK(kind.least(level) == b);
  kind.place(workers, b, out);
  CHECK(kind.least(level) == a);
  kind.place(workers, a, out);
  CHECK(kind.least(level) == c);
  CHECK(level == worker_class::top);
  kind.place(workers, c, out);
  CHECK(kind.least(level) == none);
  kind.place(workers, c, out);
  CHECK(kind.least(level) == none);
}

TEST_CASE("worker_class: every level, at the edges of the map's words") {
  worker_table workers;
  worker_class kind;
  std::vector<std::uint32_t> placed;
  const std::vector<std::uint16_t> levels{255, 192, 191, 128, 127, 64, 63, 1, 0};
  for (const std::uint16_t level : levels) {
    placed.push_back(workers.insert());
    kind.place(workers, placed.back(), level);
    std::uint16_t found = 0;
    CHECK(kind.least(found) == placed.back());
    CHECK(found == level);
  }
  while (!placed.empty()) {
    std::uint16_t found = 0;
    CHECK(kind.least(found) == placed.back());
    CHECK(found == levels[placed.size() - 1]);
    kind.place(workers, placed.back(), 0xffff);
    placed.pop_back();
  }
}

TEST_CASE("worker_classes: one for each set of types, until its last worker goes") {
  worker_classes kinds;
  worker_class* const one = kinds.acquire({1, 2});
  CHECK(kinds.acquire({1, 2}) == one);
  worker_class* const other = kinds.acquire({1});
  CHECK(other != one);
  CHECK(kinds.acquire({}) != other);
  CHECK_FALSE(worker_classes::release(*one));
  CHECK(worker_classes::release(*one));
  kinds.forget(*one);
  worker_class* const again = kinds.acquire({1, 2});
  CHECK(again->refs == 1);
  CHECK(kinds.acquire({1}) == other);
  // What is not among them is no matter.
  const worker_class stranger;
  kinds.forget(stranger);
  CHECK(kinds.acquire({1}) == other);
}

TEST_CASE("worker_record: positions of types, and sessions that it serves") {
  worker_record w;
  CHECK(w.position_of(0) == none);
  w.positions = {{2, 7}, {4, 0}, {9, 3}};
  CHECK(w.position_of(2) == 7);
  CHECK(w.position_of(4) == 0);
  CHECK(w.position_of(9) == 3);
  using type = std::uint16_t;
  for (const type absent : {type{0}, type{3}, type{5}, type{10}}) CHECK(w.position_of(absent) == none);
  CHECK(w.serving(1) == nullptr);
  served_session first, second;
  first.session = 1, second.session = 2;
  w.serves.push_back(std::move(first));
  w.serves.push_back(std::move(second));
  REQUIRE(w.serving(2) != nullptr);
  w.serving(2)->upto = 5;
  CHECK(w.serving(2)->upto == 5);
  CHECK(w.serving(1)->upto == 0);
  CHECK(w.serving(3) == nullptr);
}
