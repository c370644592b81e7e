// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/slab.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

namespace {
using namespace dtask::control;
struct item {
  std::uint32_t generation = 0;
  list_node node;
  std::shared_ptr<int> held;
};
}  // namespace

TEST_CASE("an id finds its record until that is gone, even when the slot is used again") {
  slab<item> table;
  const std::uint32_t a = table.insert();
  const std::uint64_t id = table.id(a);
  CHECK(id != 0);
  CHECK(table.find(id) == a);
  CHECK(table.find(0) == none);
  CHECK(table.find(id + (std::uint64_t{2} << 32)) == none);
  CHECK(table.find(0xffffffffU | std::uint64_t{1} << 32) == none);
  slab<item> other(77);
  CHECK(other.id(other.insert()) != id);
  CHECK(other.find(id) == none);
  auto held = std::make_shared<int>(1);
  table[a].held = held;
  table.erase(a);
  CHECK(held.use_count() == 1);
  CHECK(table.find(id) == none);
  CHECK(!table.live(a));
  const std::uint32_t b = table.insert();
  CHECK(b == a);
  CHECK(table.id(b) != id);
  CHECK(table.find(id) == none);
  CHECK(table.size() == 1);
}

TEST_CASE("records never move") {
  slab<item> table;
  const std::uint32_t first = table.insert();
  item* const at = &table[first];
  for (int i = 0; i < 5000; ++i) table.insert();
  CHECK(&table[first] == at);
  CHECK(table.bound() == 5001);
}

TEST_CASE("a list of slots keeps its order through erasures in the middle and at both ends") {
  slab<item> table;
  slot_list<item, &item::node> list;
  std::vector<std::uint32_t> slots;
  for (int i = 0; i < 5; ++i) slots.push_back(table.insert());
  for (int i = 1; i < 4; ++i) list.push_back(table, slots[static_cast<std::size_t>(i)]);
  list.push_front(table, slots[0]);
  list.push_back(table, slots[4]);
  const auto order = [&] {
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = list.front(); i != none; i = list.next(table, i)) out.push_back(i);
    std::vector<std::uint32_t> back;
    for (std::uint32_t i = list.back(); i != none; i = list.prev(table, i)) back.insert(back.begin(), i);
    CHECK(out == back);
    CHECK(out.size() == list.size());
    return out;
  };
  CHECK(order() == slots);
  list.erase(table, slots[2]);
  list.erase(table, slots[0]);
  list.erase(table, slots[4]);
  CHECK(order() == std::vector<std::uint32_t>{slots[1], slots[3]});
  list.erase(table, slots[1]);
  list.erase(table, slots[3]);
  CHECK(list.empty());
}
