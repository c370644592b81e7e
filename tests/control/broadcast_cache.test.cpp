// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/broadcast_cache.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace dtask;
using namespace dtask::control;

namespace {

cached_value value(std::uint64_t number, std::string name, std::size_t size) {
  payload whole;
  whole.body = bytes::from(std::string(size, 'v'));
  cached_value out;
  out.number = number;
  out.name = std::move(name);
  out.value = make_stream(whole);
  return out;
}
cached_value mark(std::uint64_t number, std::string name) {
  cached_value out;
  out.number = number;
  out.name = std::move(name);
  return out;
}

}  // namespace

TEST_CASE("broadcast_cache: the newest of each name, in the order of their verification") {
  broadcast_cache cache;
  CHECK(cache.insert(value(1, "a", 10)) == 0);
  CHECK(cache.insert(value(2, "b", 20)) == 0);
  CHECK(cache.bytes() == 30);
  CHECK(cache.insert(value(3, "a", 5)) == 10);
  CHECK(cache.bytes() == 25);
  REQUIRE(cache.values().size() == 2);
  CHECK(cache.values()[0].name == "b");
  CHECK(cache.values()[1].name == "a");
  CHECK(cache.values()[1].order == 3);
  CHECK(cache.verified() == 3);
  CHECK_FALSE(cache.holds(1));
  CHECK(cache.holds(2));
  CHECK(cache.holds(3));
  CHECK(cache.find("a")->number == 3);
  CHECK(cache.find("c") == nullptr);
}

TEST_CASE("broadcast_cache: what a worker that has the first n lacks") {
  broadcast_cache cache;
  CHECK(cache.after(0) == 0);
  cache.insert(value(1, "a", 1));
  cache.insert(value(2, "b", 1));
  cache.insert(value(3, "c", 1));
  cache.insert(value(4, "a", 1));  // left: b, c, a with the orders 2, 3, 4
  CHECK(cache.after(0) == 0);
  CHECK(cache.after(1) == 0);
  CHECK(cache.after(2) == 1);
  CHECK(cache.after(3) == 2);
  CHECK(cache.after(4) == 3);
  CHECK(cache.after(99) == 3);
}

TEST_CASE("broadcast_cache: a number that has ended stays ended, whatever comes late") {
  broadcast_cache cache;
  CHECK(cache.settled() == 0);
  cache.settle(3);
  cache.settle(2);
  CHECK(cache.settled() == 3);
}

TEST_CASE("broadcast_cache: marks of withdrawn values take no bytes, and go when nobody needs them") {
  broadcast_cache cache;
  cache.insert(value(1, "a", 100));
  CHECK(cache.insert(mark(2, "a")) == 100);
  CHECK(cache.bytes() == 0);
  CHECK(cache.find("a")->value == nullptr);
  CHECK(cache.find("a")->size() == 0);
  cache.insert(value(3, "kept", 7));
  std::uint64_t number = 3;
  for (int i = 0; i < 62; ++i) cache.insert(mark(++number, "gone-" + std::to_string(i)));
  CHECK_FALSE(cache.many_marks());
  // A mark that a new value replaces is none any more.
  cache.insert(value(++number, "gone-0", 1));
  cache.insert(mark(++number, "gone-62"));
  CHECK_FALSE(cache.many_marks());
  cache.insert(mark(++number, "gone-63"));
  CHECK(cache.many_marks());
  // Half of them are needed: it is time again when there are twice as many, and values never go.
  int even = 0;
  cache.drop_marks([&](const cached_value&) { return even++ % 2 == 0; });
  CHECK(cache.values().size() == 2 + 32);
  CHECK(cache.find("kept") != nullptr);
  CHECK(cache.find("gone-0") != nullptr);
  CHECK_FALSE(cache.many_marks());
  for (int i = 0; i < 31; ++i) cache.insert(mark(++number, "more-" + std::to_string(i)));
  CHECK_FALSE(cache.many_marks());
  cache.insert(mark(++number, "more-31"));
  CHECK(cache.many_marks());
  // All are needed: the next look is at twice as many, not at every insert.
  cache.drop_marks([](const cached_value&) { return false; });
  CHECK_FALSE(cache.many_marks());
  for (int i = 0; i < 63; ++i) cache.insert(mark(++number, "still-" + std::to_string(i)));
  CHECK_FALSE(cache.many_marks());
  cache.insert(mark(++number, "still-63"));
  CHECK(cache.many_marks());
}

TEST_CASE("broadcast_cache: the digest is of the content, in runs") {
  stream s(std::vector<std::uint64_t>{5});
  for (const auto& [offset, text] : {std::pair{0, "ab"}, {2, "cde"}}) {
    wire::chunk piece;
    piece.transfer = 1;
    piece.offset = static_cast<std::uint64_t>(offset);
    piece.data = bytes::copy(text);
    REQUIRE(s.accept(std::move(piece)).code() == errc::ok);
  }
  const auto weigh = [](std::span<const std::span<const std::byte>> runs) {
    wire::digest out{};
    for (const auto run : runs)
      for (const std::byte b : run) out[0] = out[0] * 31 + static_cast<std::uint64_t>(b), ++out[1];
    return out;
  };
  std::uint64_t wanted = 0;
  for (const char c : std::string("abcde")) wanted = wanted * 31 + static_cast<unsigned char>(c);
  CHECK(digest_of(weigh, s) == wire::digest{wanted, 5});
}
