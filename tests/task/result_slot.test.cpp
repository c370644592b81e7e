// SPDX-License-Identifier: BSL-1.0
#include "dtask/task/parts/result_slot.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

using dtask::detail::result_slot;

TEST_CASE("a slot holds nothing, a value or an exception, and destroys what it holds") {
  auto shared = std::make_shared<int>(3);
  {
    result_slot<std::shared_ptr<int>> slot;
    CHECK_FALSE(slot.has_value());
    CHECK_FALSE(slot.failed());
    slot.set(shared);
    CHECK(slot.has_value());
    CHECK(shared.use_count() == 2);
    CHECK(*slot.take() == 3);
  }
  CHECK(shared.use_count() == 1);
  {
    result_slot<std::shared_ptr<int>> slot;
    slot.set(shared);
    slot.fail(std::make_exception_ptr(std::string("e")));
    CHECK(shared.use_count() == 1);
    CHECK(slot.failed());
    CHECK_THROWS_AS(slot.take(), std::string);
  }
  result_slot<void> nothing;
  nothing.set();
  CHECK(nothing.has_value());
  int x = 1;
  result_slot<int&> reference;
  reference.set(x);
  CHECK(&reference.take() == &x);
}
