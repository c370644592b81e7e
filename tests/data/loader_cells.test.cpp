// SPDX-License-Identifier: BSL-1.0
#include "dtask/data/detail/loader_cells.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <utility>

#include "dtask/data/detail/loader_cell.hpp"
#include "dtask/task/task.hpp"
#include "task/manual_scheduler.hpp"

using namespace dtask_test;

namespace {
using cell = dtask::detail::loader_cell<int, int>;
using cells = dtask::detail::loader_cells<cell>;

dtask::task<> send_out(cells& all, std::uint64_t position, cell*& out) {
  co_await all.await_unused();
  out = &all.fresh(position, {position, position + 1});
}
cell* sent_out(manual_scheduler& where, cells& all, std::uint64_t position) {
  cell* out = nullptr;
  started sending(where, send_out(all, position, out));
  where.run();
  REQUIRE(out != nullptr);
  return out;
}
}  // namespace

TEST_CASE("loader_cells: in order, a cell is taken once those that set out before it have been") {
  manual_scheduler where;
  cells all(3, true);
  cell* const first = sent_out(where, all, 0);
  cell* const second = sent_out(where, all, 8);
  CHECK(second->number == 1);
  CHECK(second->position == 8);
  CHECK(second->missing == 2);
  all.deliver(*second);
  CHECK(all.ready().is_set());
  CHECK(all.take() == nullptr);
  all.deliver(*first);
  CHECK(all.take() == first);
  CHECK(all.take() == second);
  CHECK(all.take() == nullptr);
}

TEST_CASE("loader_cells: out of order, in that in which they got ready") {
  manual_scheduler where;
  cells all(2, false);
  cell* const first = sent_out(where, all, 0);
  cell* const second = sent_out(where, all, 8);
  all.deliver(*second);
  all.deliver(*first);
  CHECK(all.take() == second);
  CHECK(all.take() == first);
}

TEST_CASE("loader_cells: no more set out than there are, and what comes back is empty") {
  manual_scheduler where;
  cells all(2, true);
  CHECK_FALSE(all.one_under_way());
  cell* const first = sent_out(where, all, 0);
  CHECK(all.one_under_way());
  cell* const second = sent_out(where, all, 8);
  CHECK_FALSE(all.one_under_way());

  cell* third = nullptr;
  started sending(where, send_out(all, 16, third));
  where.run();
  CHECK(third == nullptr);
  first->batch = 7;
  first->decoded = {1, 2};
  first->fail({0, 0, dtask::error(dtask::errc::bad_data, "broken", "sample"), true});
  all.deliver(*first);
  REQUIRE(all.take() == first);
  all.give_back(*first);
  where.run();
  REQUIRE(third == first);
  CHECK_FALSE(third->batch.has_value());
  CHECK(third->decoded.empty());
  CHECK(third->failures().empty());
  CHECK(third->number == 2);

  all.deliver(*second);
  REQUIRE(all.take() == second);
  all.give_back(*second);
  CHECK(all.one_under_way());
}

TEST_CASE("loader_cells: where a stage broke off, take throws what it threw") {
  cells all(1, true);
  CHECK(all.take() == nullptr);
  all.fail(std::make_exception_ptr(std::runtime_error("no memory")));
  CHECK(all.ready().is_set());
  CHECK_THROWS_WITH_AS(static_cast<void>(all.take()), "no memory", std::runtime_error);
}
