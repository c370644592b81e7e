// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/task_end.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "manual_scheduler.hpp"

using namespace dtask_test;

TEST_CASE("a value, which moves out") {
  dtask::detail::result_slot<std::unique_ptr<int>> slot;
  slot.set(std::make_unique<int>(7));
  dtask::task_end<std::unique_ptr<int>> end(slot);
  CHECK(end.has_value());
  CHECK(static_cast<bool>(end));
  CHECK_FALSE(end.exception());
  CHECK(*end.value() == 7);
  const auto out = std::move(end).value();
  CHECK(*out == 7);
}

TEST_CASE("void and references") {
  dtask::detail::result_slot<void> done;
  done.set();
  dtask::task_end<void> end(done);
  CHECK(end.has_value());
  static_assert(std::is_void_v<decltype(end.value())>);
  end.value();
  int x = 1;
  dtask::detail::result_slot<int&> slot;
  slot.set(x);
  dtask::task_end<int&> reference(slot);
  CHECK(&reference.value() == &x);
  CHECK(&std::move(reference).value() == &x);
}

TEST_CASE("an exception, and nothing") {
  dtask::detail::result_slot<int> slot;
  slot.fail(std::make_exception_ptr(7));
  dtask::task_end<int> failed(slot);
  CHECK_FALSE(failed.has_value());
  CHECK(failed.exception());
  CHECK_THROWS_AS(failed.value(), int);
  dtask::detail::result_slot<int> empty;
  dtask::task_end<int> nothing(empty);
  CHECK_FALSE(nothing.has_value());
  CHECK_FALSE(nothing.exception());
  CHECK(cause_of([&] { nothing.value(); }) == dtask::errc::cancelled);
}
