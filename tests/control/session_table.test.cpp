// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/session_table.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace dtask;
using namespace dtask::control;

TEST_CASE("call_index: nothing where nothing was set") {
  call_index calls;
  CHECK(calls.at(0) == none);
  CHECK(calls.at(0xffffffffU) == none);
  CHECK(calls.jobs().empty());
}

TEST_CASE("call_index: positions at the ends of pages, in their order, and taken back") {
  constexpr std::uint32_t page = call_index::page;
  call_index calls;
  // Set from behind: pages in between are not made.
  calls.set(5 * page, 50);
  calls.set(page, 30);
  calls.set(page - 1, 20);
  calls.set(0, 10);
  CHECK(calls.at(0) == 10);
  CHECK(calls.at(1) == none);
  CHECK(calls.at(page - 1) == 20);
  CHECK(calls.at(page) == 30);
  CHECK(calls.at(3 * page) == none);
  CHECK(calls.at(5 * page) == 50);
  CHECK(calls.at(6 * page) == none);
  CHECK(calls.jobs() == std::vector<std::uint32_t>{10, 20, 30, 50});
  calls.set(page - 1, none);
  calls.set(0, 11);
  CHECK(calls.at(page - 1) == none);
  CHECK(calls.jobs() == std::vector<std::uint32_t>{11, 30, 50});
}

TEST_CASE("session_table: a session that ended is not found by its id, also when its place is taken again") {
  session_table sessions;
  const std::uint32_t s = sessions.insert();
  sessions[s].key = 7;
  sessions[s].by_call.set(3, 1);
  const std::uint64_t id = sessions.id(s);
  CHECK(sessions.find(id) == s);
  sessions.erase(s);
  CHECK(sessions.find(id) == none);
  REQUIRE(sessions.insert() == s);
  CHECK(sessions.find(id) == none);
  CHECK(sessions.id(s) != id);
  CHECK(sessions[s].key == 0);
  CHECK(sessions[s].by_call.at(3) == none);
}
