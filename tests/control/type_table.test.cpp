// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/type_table.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace dtask;
using namespace dtask::control;

TEST_CASE("type_table: a name and a schema are one type, counted by the hellos that name it") {
  type_table types;
  const std::uint32_t one = types.acquire({"job/1", 11, "() -> i32"});
  CHECK(types.acquire({"job/1", 11, "another text of the same schema"}) == one);
  CHECK(types.size() == 1);
  CHECK(types[one].refs == 2);
  CHECK(types[one].signature == "() -> i32");
  const std::uint32_t other = types.acquire({"job/1", 12, "() -> i64"});
  CHECK(other != one);
  CHECK(types.acquire({"job/2", 11, "() -> i32"}) != one);
  CHECK(types.named("job/1") == std::vector<std::uint32_t>{one, other});
  CHECK(types.named("job/3").empty());
  types.release(one);
  CHECK(types.size() == 3);
  types.release(one);
  CHECK(types.size() == 2);
  CHECK(types.named("job/1") == std::vector<std::uint32_t>{other});
  types.release(other);
  CHECK(types.named("job/1").empty());
}

TEST_CASE("type_table: a rival has the name, another schema, and workers") {
  type_table types;
  const std::uint32_t mine = types.acquire({"job/1", 1, ""});
  CHECK(types.rival(mine) == none);
  types[mine].workers = 3;
  CHECK(types.rival(mine) == none);
  const std::uint32_t idle = types.acquire({"job/1", 2, ""});
  CHECK(types.rival(mine) == none);
  CHECK(types.rival(idle) == mine);
  const std::uint32_t third = types.acquire({"job/1", 3, ""});
  types[third].workers = 1;
  CHECK(types.rival(mine) == third);
  const std::uint32_t stranger = types.acquire({"job/2", 9, ""});
  CHECK(types.rival(stranger) == none);
}

TEST_CASE("type_table: full is full, what is known is still taken, and what goes makes room") {
  type_table types;
  // Types of one name are compared one by one, as they come in threes, not in thousands.
  const auto name_of = [](std::uint32_t i) { return "job/" + std::to_string(i / 16); };
  std::uint32_t refused = 0;
  for (std::uint32_t i = 0; i < type_table::limit; ++i) refused += types.acquire({name_of(i), i, ""}) == none;
  CHECK(refused == 0);
  CHECK(types.size() == type_table::limit);
  CHECK(types.acquire({"new/1", 1, ""}) == none);
  CHECK(types.named("new/1").empty());
  CHECK(types.acquire({name_of(5), type_table::limit, ""}) == none);
  const std::uint32_t known = types.acquire({name_of(5), 5, ""});
  REQUIRE(known != none);
  CHECK(types[known].refs == 2);
  types.release(known);
  types.release(known);
  const std::uint32_t fresh = types.acquire({"new/1", 1, ""});
  REQUIRE(fresh != none);
  CHECK(types[fresh].name == "new/1");
  CHECK(types[fresh].refs == 1);
}
