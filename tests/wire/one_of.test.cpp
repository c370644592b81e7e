// SPDX-License-Identifier: BSL-1.0
#include "dtask/wire/one_of.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

namespace wire = dtask::wire;

namespace {
struct empty {};
using value = wire::one_of<empty, std::string, std::unique_ptr<int>>;
}  // namespace

TEST_CASE("one_of starts with its first type and holds what it is given") {
  value v;
  CHECK(v.index() == 0);
  CHECK(v.get_if<empty>() != nullptr);
  CHECK(v.get_if<std::string>() == nullptr);
  v = std::string(100, 'x');
  REQUIRE(v.get_if<std::string>() != nullptr);
  CHECK(v.get_if<std::string>()->size() == 100);
  static_assert(value::size == 3 && value::index_of<std::unique_ptr<int>> == 2 && value::index_of<int> == value::size);
}

TEST_CASE("one_of makes an aggregate in place") {
  struct named {
    int number = 0;
    std::unique_ptr<int> held;
  };
  const wire::one_of<empty, named> v(std::in_place_type<named>, 3, std::make_unique<int>(4));
  REQUIRE(v.get_if<named>() != nullptr);
  CHECK(v.get_if<named>()->number == 3);
  CHECK(*v.get_if<named>()->held == 4);
}

TEST_CASE("one_of moves its value and destroys it once") {
  const auto counted = std::make_shared<int>(7);
  {
    wire::one_of<empty, std::shared_ptr<int>> a(counted);
    CHECK(counted.use_count() == 2);
    wire::one_of<empty, std::shared_ptr<int>> b(std::move(a));
    CHECK(counted.use_count() == 2);
    CHECK(*b.get_if<std::shared_ptr<int>>() == counted);
    b = empty{};
    CHECK(counted.use_count() == 1);
    b.emplace<std::shared_ptr<int>>(counted);
    CHECK(counted.use_count() == 2);
    b.emplace_index(0);
    CHECK(counted.use_count() == 1);
    b = counted;
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("one_of gives a visitor the type that is there") {
  value v(std::make_unique<int>(5));
  int seen = 0;
  v.visit([&seen]<class Type>(Type& x) {
    if constexpr (requires { *x + 1; } && !requires { x.size(); }) seen = *x;
  });
  CHECK(seen == 5);
  v.emplace_index(1);
  std::size_t length = 1;
  std::as_const(v).visit([&length](const auto& x) {
    if constexpr (requires { x.size(); }) length = x.size();
  });
  CHECK(length == 0);
}
