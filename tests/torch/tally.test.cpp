// SPDX-License-Identifier: BSL-1.0
#include "dtask/torch/tally.hpp"

#include <ATen/ATen.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

#include "dtask/job.hpp"

TEST_CASE("tally: whole numbers are exact, means are over samples") {
  dtask::tally t;
  const std::int64_t large = (std::int64_t{1} << 53) + 1;
  t.add("large", large);
  t.add("large", 2U);
  t.add("right", true);
  t.add("right", std::uint8_t{5});
  t.add("loss", 0.5);
  t.add("loss", 1);
  t.count(3);
  t.count(1);
  CHECK(t.whole("large") == large + 2);
  CHECK(t.samples() == 4);
  CHECK(t.mean("right") == 1.5);
  CHECK(t.value("loss") == 1.5);
  CHECK(t.names() == std::vector<std::string>{"large", "loss", "right"});
  CHECK(t.contains("loss"));
  CHECK(!t.contains("left"));
  CHECK_THROWS_WITH_AS(t.mean("left"), doctest::Contains("(left)"), dtask::error);
  CHECK(dtask::tally().samples() == 0);
  dtask::tally none;
  none.add("x", 3);
  CHECK(none.mean("x") == 0);
}

TEST_CASE("tally: parts are merged in rank order, in one way only") {
  const double values[] = {1e16, 1.0, -1e16};
  dtask::tally parts[3];
  for (int r = 0; r < 3; ++r) {
    parts[r].add("sum", values[r]);
    parts[r].add("n" + std::to_string(r), r);
    parts[r].count(10);
  }
  const auto merged = [&] {
    dtask::tally all;
    for (const dtask::tally& p : parts) all.merge(p);
    return all;
  };
  CHECK(merged() == merged());
  CHECK(merged().value("sum") == (values[0] + values[1]) + values[2]);
  CHECK(merged().samples() == 30);
  CHECK(merged().whole("n2") == 2);
}

TEST_CASE("tally: it travels") {
  dtask::tally t;
  t.add("right", 7);
  t.add("loss", 0.1);
  t.count(9);
  CHECK(dtask::decode<dtask::tally>(dtask::encode(t)) == t);
}

TEST_CASE("tally: sums that overflow, and names without end, are refused") {
  dtask::tally t;
  t.add("up", std::numeric_limits<std::int64_t>::max());
  t.add("down", std::numeric_limits<std::int64_t>::min());
  CHECK_THROWS_WITH_AS(t.add("up", 1), doctest::Contains("64 bits (up)"), dtask::error);
  CHECK_THROWS_AS(t.add("down", -1), dtask::error);
  CHECK_THROWS_AS(t.add("other", std::numeric_limits<std::uint64_t>::max()), dtask::error);
  CHECK_THROWS_AS(t.merge(t), dtask::error);
  CHECK(t.whole("up") == std::numeric_limits<std::int64_t>::max());
  CHECK_THROWS_AS(t.add(std::string(129, 'x'), 1), dtask::error);
  const auto fill = [] {
    dtask::tally many;
    for (int i = 0; i < 300; ++i) many.add("name " + std::to_string(i), 1);
  };
  CHECK_THROWS_WITH_AS(fill(), doctest::Contains("at most 256 names"), dtask::error);
}

TEST_CASE("tally: the one element of a tensor, whole numbers exactly") {
  dtask::tally t;
  const std::int64_t large = (std::int64_t{1} << 53) + 1;  // no double holds it
  t.add("n", at::full({}, large, at::kLong));
  t.add("n", at::full({1, 1}, 1, at::kInt));
  t.add("n", at::ones({3}, at::kBool).sum());
  t.add("x", at::full({}, 0.5, at::kFloat).requires_grad_());
  t.settle();
  CHECK(t.whole("n") == large + 4);
  CHECK(t.value("x") == 0.5);
  for (const at::Tensor& bad : {at::Tensor(), at::zeros({2}), at::zeros({0}), at::zeros({}, at::kComplexFloat)}) {
    try {
      t.add("n", bad);
      FAIL("this is not one number");
    } catch (const dtask::error& e) {
      CHECK(e.code() == dtask::errc::invalid_argument);
    }
  }
  CHECK(t.whole("n") == large + 4);
}

TEST_CASE("tally: a sum that still lies on a device is not read as nothing") {
  dtask::tally t, other;
  other.add("n", 1);
  t.add("n", at::ones({}, at::TensorOptions(at::kLong).device(at::kMeta)));
  const auto unsettled = [](auto read) {
    try {
      read();
      return false;
    } catch (const dtask::error& e) {
      return e.code() == dtask::errc::invalid_argument && e.place() == "n";
    }
  };
  CHECK(unsettled([&] { static_cast<void>(t.whole("n")); }));
  CHECK(unsettled([&] { static_cast<void>(t.mean("n")); }));
  CHECK(unsettled([&] { t.merge(other); }));
  CHECK(unsettled([&] { other.merge(t); }));
  CHECK(other.whole("n") == 1);
}
