// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/schema_writer.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <utility>

using dtask::schema_hash;
using dtask::schema_writer;

TEST_CASE("schema_writer: a class inside of itself is a way back, one beside it is written again") {
  const int a = 0, b = 0, c = 0;
  schema_writer to;
  to.word("{");
  CHECK(to.enter(&a));
  CHECK(to.enter(&b));
  CHECK_FALSE(to.enter(&b));  // the innermost
  CHECK(to.text() == "{^1");
  CHECK(to.enter(&c));
  CHECK_FALSE(to.enter(&a));  // three levels up
  CHECK(to.text() == "{^1^3");
  to.leave();
  to.leave();
  CHECK(to.enter(&b));  // it has been left
  to.leave();
  CHECK_FALSE(to.enter(&a));
  CHECK(to.text() == "{^1^3^1");
  to.leave();
  CHECK(to.enter(&a));
  CHECK(std::move(to).take() == "{^1^3^1");
}

TEST_CASE("schema_hash: the same in all programs, another for each text") {
  // Part of the handshake: other numbers would part programs of two builds.
  CHECK(schema_hash("") == 0xecba3df2c3383c52);
  static_assert(schema_hash("(f64) -> f64") == schema_hash("(f64) -> f64"));
  std::set<std::uint64_t> seen;
  const std::string all = "(f64, f64) -> {string, i32, f32}";
  for (std::size_t n = 0; n <= all.size(); ++n) seen.insert(schema_hash(all.substr(0, n)));
  CHECK(seen.size() == all.size() + 1);
  CHECK(schema_hash("(i32, i64)") != schema_hash("(i64, i32)"));
  CHECK(schema_hash(std::string_view("\0", 1)) != schema_hash(""));
  // A byte above 127 is one, whatever a char is.
  CHECK(schema_hash("\xff") != schema_hash("\x7f"));
}
