// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/decoder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

using dtask::bytes;
using dtask::decoder;
using dtask::encoder;
using dtask::errc;

namespace {

constexpr std::uint64_t outside = encoder::out_of_band;
const auto itself = [](std::uint64_t n) { return n; };

dtask::payload of(std::string_view body) {
  dtask::payload out;
  out.body = bytes::copy(body);
  return out;
}
template <class F>
dtask::payload written(F&& f) {
  encoder to;
  f(to);
  return std::move(to).finish();
}
// What it says where it fails; empty where it does not.
template <class F>
std::string refused(F&& f) {
  try {
    f();
  } catch (const dtask::error& e) {
    CHECK(e.code() == errc::decode_failed);
    CHECK(e.place().find("byte ") == 0);
    return e.cause();
  }
  return {};
}

}  // namespace

TEST_CASE("decoder: numbers, a bool that is one, and the end") {
  const dtask::payload p = written([](encoder& to) { to.put(std::int16_t{-2}), to.put(true), to.put(2.5); });
  decoder from(p);
  CHECK(from.left() == 11);
  CHECK(from.get<std::int16_t>() == -2);
  CHECK(from.get<bool>());
  CHECK(from.get<double>() == 2.5);
  CHECK(from.left() == 0);
  from.finish();
  CHECK(refused([&] { from.get<char>(); }).find("truncated") != std::string::npos);
  const dtask::payload two = of("\2");
  decoder wrong(two);
  CHECK(refused([&] { wrong.get<bool>(); }).find("neither 0 nor 1") != std::string::npos);
}

TEST_CASE("decoder: the place of an error is the byte at which it reads") {
  const dtask::payload p = of("abcdef");
  decoder from(p);
  from.get<std::int32_t>();
  try {
    from.get<std::int32_t>();
    FAIL("read");
  } catch (const dtask::error& e) {
    CHECK(e.place() == "byte 4 of 6");
  }
  CHECK(from.left() == 2);
}

TEST_CASE("decoder: a count is no more than the bytes that follow allow, whatever it multiplies to") {
  for (const std::uint64_t n : {std::uint64_t{5}, std::uint64_t{1} << 32, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    CAPTURE(n);
    const dtask::payload p = written([n](encoder& to) { to.put(n), to.put(std::uint64_t{0}); });
    decoder from(p);
    CHECK(refused([&] { from.count(2, 1); }).find("larger than the rest") != std::string::npos);
  }
  const dtask::payload p = written([](encoder& to) { to.put(std::uint64_t{4}), to.put(std::uint64_t{0}); });
  decoder fits(p);
  CHECK(fits.count(2, 8) == 4);
  decoder costly(p);
  CHECK(refused([&] { costly.count(2, std::size_t{1} << 62); }).find("more memory") != std::string::npos);
}

TEST_CASE("decoder: all that is allocated together stays within three times the body and 48 KiB") {
  const dtask::payload p = of(std::string(100, 'x'));
  const std::uint64_t budget = dtask::detail::decode_budget(100);
  CHECK(budget == 300 + (48u << 10));
  decoder from(p);
  from.charge(budget - 1);
  from.charge(1);
  from.charge(0);
  CHECK(refused([&] { from.charge(1); }).find("more memory") != std::string::npos);
  decoder huge(p);
  CHECK(refused([&] { huge.charge(~std::uint64_t{0}); }).find("more memory") != std::string::npos);
}

TEST_CASE("decoder: elements inside the body are charged, those in a block are paid for by it") {
  const dtask::payload inside = written([](encoder& to) { to.put(std::uint64_t{3}), to.put("abcdef", 6); });
  decoder from(inside);
  const auto found = from.elements(2, itself);
  CHECK(found.size() == 6);
  CHECK(found.data() == inside.body.data() + 8);
  from.finish();
  decoder long_ones(inside);
  CHECK(refused([&] { long_ones.elements(3, itself); }).find("larger than the rest") != std::string::npos);
  decoder costly(inside);
  CHECK(refused([&] { costly.elements(2, [](std::uint64_t) { return std::uint64_t{1} << 40; }); }) != "");

  dtask::payload apart = written([](encoder& to) { to.put(std::uint64_t{5} | outside); });
  apart.blobs.push_back(bytes::copy("0123456789"));
  decoder blocks(apart);
  const auto there = blocks.elements(2, [](std::uint64_t) { return ~std::uint64_t{0}; });
  CHECK(there.data() == apart.blobs[0].data());
  CHECK(there.size() == 10);
  blocks.finish();
  dtask::payload odd = apart;
  odd.blobs[0] = bytes::copy("0123456789+");  // five elements, and half of one
  decoder half(odd);
  CHECK(refused([&] { half.elements(2, itself); }).find("as many elements") != std::string::npos);
  for (const std::size_t each : {std::size_t{1}, std::size_t{3}, std::size_t{4}}) {
    decoder other(apart);
    CHECK(refused([&] { other.elements(each, itself); }).find("as many elements") != std::string::npos);
  }
}

TEST_CASE("decoder: a block is shared where it came, and each is named once") {
  dtask::payload p = written([](encoder& to) {
    to.put(std::uint64_t{3});
    to.put("abc", 3);
    to.put(std::uint64_t{4} | outside);
    to.put(std::uint64_t{4} | outside);
  });
  p.blobs.push_back(bytes::copy("wxyz"));
  decoder from(p);
  const bytes inside = from.block();
  CHECK(inside.view() == "abc");
  CHECK(inside.data() == p.body.data() + 8);
  const bytes there = from.block();
  CHECK(there.data() == p.blobs[0].data());
  CHECK(refused([&] { from.block(); }).find("not sent") != std::string::npos);

  dtask::payload other = written([](encoder& to) { to.put(std::uint64_t{5} | outside); });
  other.blobs.push_back(bytes::copy("wxyz"));
  decoder size(other);
  CHECK(refused([&] { size.block(); }).find("another size") != std::string::npos);
  decoder unnamed(other);
  unnamed.get<std::uint64_t>();
  CHECK(refused([&] { unnamed.finish(); }).find("does not name") != std::string::npos);
  const dtask::payload longer = written([](encoder& to) { to.put(std::uint64_t{9}), to.put('x'); });
  decoder beyond(longer);
  CHECK(refused([&] { beyond.block(); }).find("longer than the rest") != std::string::npos);
}

TEST_CASE("decoder: a large block inside the body gets memory of its own, which is charged") {
  const std::string text(dtask::inline_bytes + 1, 't');
  const dtask::payload p =
      written([&](encoder& to) { to.put(std::uint64_t{text.size()}), to.put(text.data(), text.size()); });
  decoder from(p);
  const bytes copied = from.block();
  CHECK(copied.view() == text);
  CHECK(copied.data() != p.body.data() + 8);
  CHECK(refused([&] { from.charge(dtask::detail::decode_budget(p.body.size()) - text.size() + 1); }) != "");
  from.charge(dtask::detail::decode_budget(p.body.size()) - text.size());
}

TEST_CASE("decoder: after the value there is padding and nothing else") {
  const dtask::payload padded = of(std::string_view("a\0\0\0", 4));
  decoder from(padded);
  from.get<char>();
  from.finish();
  const dtask::payload more = of(std::string_view("a\0\0b", 4));
  decoder wrong(more);
  wrong.get<char>();
  CHECK(refused([&] { wrong.finish(); }).find("after the end") != std::string::npos);
}

TEST_CASE("decoder: nesting has a limit, and levels that were left do not count") {
  dtask::codec_limits shallow;
  shallow.depth = 2;
  const dtask::payload p = of("x");
  decoder from(p, shallow);
  for (int i = 0; i < 10; ++i) {
    from.enter();
    from.enter();
    from.leave();
    from.leave();
  }
  from.enter();
  from.enter();
  CHECK(refused([&] { from.enter(); }).find("deeper than 2") != std::string::npos);
}
