// SPDX-License-Identifier: BSL-1.0
#include "dtask/wire/row.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>

namespace wire = dtask::wire;

namespace {
std::string joined(const wire::row<std::string>& r) {
  std::string out;
  for (const std::string& s : r) out += s;
  return out;
}
wire::row<std::string> letters(int count) {
  wire::row<std::string> r;
  for (int i = 0; i < count; ++i) r.push_back(std::string(1, static_cast<char>('a' + i)));
  return r;
}
}  // namespace

TEST_CASE("a row keeps its order when elements leave") {
  wire::row<std::string> r = letters(7);
  CHECK(joined(r) == "abcdefg");
  r.pop_front();
  r.erase(r.begin() + 2);
  CHECK(joined(r) == "bcefg");
  r.erase(r.end() - 1);
  CHECK(joined(r) == "bcef");
  std::string seen;
  r.erase_if([&seen](const std::string& s) {
    seen += s;
    return s == "b" || s == "e";
  });
  CHECK(seen == "bcef");
  CHECK(joined(r) == "cf");
  CHECK(r.front() == "c");
  CHECK(r.back() == "f");
  CHECK(r[1] == "f");
  REQUIRE(r.find_if([](const std::string& s) { return s == "f"; }) == r.begin() + 1);
  CHECK(r.find_if([](const std::string& s) { return s == "x"; }) == nullptr);
  r.push_back("g");
  r.cut(2);
  CHECK(joined(r) == "cf");
  r.erase_if([](const std::string&) { return true; });
  CHECK(r.empty());
  CHECK(r.begin() == r.end());
}

TEST_CASE("a row moves as a whole, and pushes one of its own elements") {
  wire::row<std::string> a = letters(4);
  a.push_back(a[0]);
  wire::row<std::string> b(std::move(a));
  CHECK(joined(b) == "abcda");
  a = letters(2);
  CHECK(joined(a) == "ab");
  a = std::exchange(b, {});
  CHECK(joined(a) == "abcda");
  CHECK(b.empty());
  auto& itself = a;
  a = std::move(itself);
  CHECK(joined(a) == "abcda");
}

TEST_CASE("a row destroys each element once") {
  const auto counted = std::make_shared<int>(1);
  {
    wire::row<std::shared_ptr<int>> r;
    for (int i = 0; i < 20; ++i) r.push_back(counted);
    for (int i = 0; i < 5; ++i) r.pop_front();
    r.erase(r.begin());
    CHECK(counted.use_count() == 15);
    int n = 0;
    r.erase_if([&n](const std::shared_ptr<int>&) { return ++n % 2 == 0; });
    CHECK(counted.use_count() == 8);
    r.clear();
    CHECK(counted.use_count() == 1);
    r.push_back(counted);
  }
  CHECK(counted.use_count() == 1);
}

TEST_CASE("a row is a queue") {
  const unsigned seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937 draw(seed);
  wire::row<std::string> r;
  std::deque<std::string> expected;
  bool same = true;
  for (int i = 0; i < 20'000; ++i) {
    const bool grows = (i / 500) % 2 == 0;
    if (expected.empty() || draw() % 3 < (grows ? 2u : 1u)) {
      r.push_back(std::to_string(i));
      expected.push_back(std::to_string(i));
    } else {
      same = same && r.front() == expected.front();
      r.pop_front();
      expected.pop_front();
    }
    same = same && r.size() == expected.size() && (expected.empty() || r.back() == expected.back());
  }
  CHECK(same);
}
