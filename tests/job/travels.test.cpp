// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/travels.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

using dtask::travels;

namespace {

struct plain {
  int a = 0;
  std::string b;
};
struct nested {
  plain one;
  std::vector<std::map<std::string, plain>> many;
};
struct tree {
  int value = 0;
  std::vector<tree> children;
};
struct holds_pointer {
  int* at = nullptr;
};
struct deep_pointer {
  std::vector<std::optional<holds_pointer>> many;
};
struct holds_view {
  std::string_view text;
};
struct closed {
  explicit closed(int v) : value(v) {}
  int get() const { return value; }

 private:
  int value;
};
struct no_default {
  explicit no_default(int) {}
  template <class A>
  void serialize(A&) {}
};
struct by_cereal {
  std::unique_ptr<int> own;  // its own serialize says what travels
  int value = 0;
  template <class A>
  void serialize(A& a) {
    a(value);
  }
};
struct virtual_one {
  virtual ~virtual_one() = default;
  int value = 0;
};

}  // namespace

TEST_CASE("travels: numbers, texts, containers and plain aggregates, to any depth") {
  CHECK(travels<bool>);
  CHECK(travels<std::int8_t>);
  CHECK(travels<double>);
  CHECK(travels<std::string>);
  CHECK(travels<dtask::bytes>);
  CHECK(travels<std::chrono::milliseconds>);
  CHECK(travels<std::optional<std::variant<int, std::string>>>);
  CHECK(travels<std::tuple<plain, std::vector<bool>>>);
  CHECK(travels<plain>);
  CHECK(travels<nested>);
  CHECK(travels<by_cereal>);
}

TEST_CASE("travels: a type that holds itself") {
  CHECK(travels<tree>);
  CHECK(travels<std::map<int, tree>>);
}

TEST_CASE("travels: what points elsewhere does not, however deep it lies") {
  CHECK_FALSE(travels<int*>);
  CHECK_FALSE(travels<std::shared_ptr<int>>);
  CHECK_FALSE(travels<std::unique_ptr<plain>>);
  CHECK_FALSE(travels<std::weak_ptr<int>>);
  CHECK_FALSE(travels<std::string_view>);
  CHECK_FALSE(travels<std::span<int>>);
  CHECK_FALSE(travels<holds_pointer>);
  CHECK_FALSE(travels<deep_pointer>);
  CHECK_FALSE(travels<std::map<std::string, std::vector<holds_view>>>);
  CHECK_FALSE(travels<std::tuple<int, std::variant<int, holds_pointer>>>);
}

TEST_CASE("travels: classes that nobody can look into or make") {
  CHECK_FALSE(travels<closed>);
  CHECK_FALSE(travels<virtual_one>);
  CHECK_FALSE(travels<no_default>);
  CHECK_FALSE(travels<std::vector<closed>>);
}
