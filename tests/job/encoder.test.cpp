// SPDX-License-Identifier: BSL-1.0
#include "dtask/job/encoder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <utility>

using dtask::bytes;
using dtask::codec_limits;
using dtask::encoder;
using dtask::errc;

namespace {

template <class F>
errc code_of(F&& f) {
  try {
    f();
  } catch (const dtask::error& e) {
    return e.code();
  }
  return errc::ok;
}
bytes block_of(std::size_t size) { return bytes::from(std::string(size, 'b')); }
const auto nothing_lent = [] { return bytes(); };

}  // namespace

TEST_CASE("encoder: little endian, one after the other") {
  encoder to;
  to.put(std::uint32_t{0x01020304});
  to.put(true);
  to.put('c');
  to.put(nullptr, 0);
  CHECK(to.size() == 6);
  CHECK(std::move(to).finish().body.view() == std::string_view("\x04\x03\x02\x01\x01"
                                                               "c",
                                                               6));
}

TEST_CASE("encoder: a body that outgrows its first memory keeps what it has") {
  encoder to;
  std::string wanted;
  for (int i = 0; i < 3000; ++i) {
    const char c = static_cast<char>('a' + i % 26);
    to.put(c);
    wanted += c;
  }
  const std::string more(100'000, 'z');
  to.put(more.data(), more.size());
  CHECK(std::move(to).finish().body.view() == wanted + more);
}

TEST_CASE("encoder: blocks above 16 KiB travel out of band, with the mark in their length") {
  encoder to;
  to.block(block_of(dtask::inline_bytes));
  const std::size_t inside = to.size();
  CHECK(inside == 8 + dtask::inline_bytes);
  const bytes large = block_of(dtask::inline_bytes + 1);
  to.block(large);
  CHECK(to.size() == inside + 8);
  const dtask::payload p = std::move(to).finish();
  REQUIRE(p.blobs.size() == 1);
  CHECK(p.blobs[0].data() == large.data());
  CHECK(static_cast<unsigned char>(p.body.view()[inside + 7]) == 0x80);
}

TEST_CASE("encoder: one block too many is an error, unless strings have taken its place") {
  codec_limits two;
  two.blobs = 2;
  encoder to(two);
  to.block(block_of(20'000));
  to.block(block_of(20'000));
  CHECK(code_of([&] { to.block(block_of(20'000)); }) == errc::too_large);
  to.block(block_of(5));  // small ones need no place

  encoder lent(two);
  CHECK(lent.elements(20'000, 20'000, [] { return block_of(20'000); }));
  CHECK_FALSE(lent.elements(20'000, 20'000, nothing_lent));  // half of the places
  lent.block(block_of(20'000));
  lent.block(block_of(20'000));
  const dtask::payload p = std::move(lent).finish();
  CHECK(p.blobs.size() == 2);
  CHECK(p.body.size() > 20'000);
}

TEST_CASE("encoder: elements stay inside where they are few, and are not asked for then") {
  encoder to;
  CHECK_FALSE(to.elements(dtask::inline_bytes, dtask::inline_bytes, []() -> bytes { throw 1; }));
  CHECK(to.size() == 0);
  codec_limits none;
  none.blobs = 0;
  encoder alone(none);
  CHECK_FALSE(alone.elements(100'000, 100'000, []() -> bytes { throw 1; }));
}

TEST_CASE("encoder: the limit counts body and blocks, and fails at once") {
  codec_limits small;
  small.payload = 40'000;
  const auto says = [](const auto& e) {
    CHECK(e.cause().find("40000") != std::string::npos);
    CHECK(e.remedy().find("--payload-bytes") != std::string::npos);
  };
  encoder body(small);
  const std::string text(30'000, 'x');
  body.put(text.data(), text.size());
  try {
    body.put(text.data(), text.size());
    FAIL("taken");
  } catch (const dtask::error& e) {
    CHECK(e.code() == errc::too_large);
    says(e);
  }
  encoder block(small);
  block.block(block_of(20'000));
  CHECK(code_of([&] { block.block(block_of(20'000)); }) == errc::too_large);
  encoder lends(small);
  CHECK(code_of([&] { lends.elements(50'000, 50'000, nothing_lent); }) == errc::too_large);
  encoder exact(small);
  exact.put(text.data(), text.size());
  exact.put(text.data(), 10'000);
  CHECK(std::move(exact).finish().size() == 40'000);
}

TEST_CASE("encoder: what decoding will take is paid for with padding, no more than is needed") {
  encoder to;
  to.put(std::uint64_t{1});
  to.charge(dtask::detail::decode_budget(8));
  CHECK(std::move(to).finish().body.size() == 8);
  encoder sparse;
  sparse.put(std::uint64_t{1});
  sparse.charge(dtask::detail::decode_budget(8) + 1);
  CHECK(std::move(sparse).finish().body.size() == 9);
  encoder large;
  large.put('x');
  large.charge(1'000'000);
  const dtask::payload p = std::move(large).finish();
  CHECK(dtask::detail::decode_budget(p.body.size()) >= 1'000'000);
  CHECK(dtask::detail::decode_budget(p.body.size() - 1) < 1'000'000);
  CHECK(p.body.view().find_first_not_of('\0', 1) == std::string::npos);
  // Padding counts too.
  codec_limits small;
  small.payload = 1000;
  encoder refused(small);
  refused.charge(1'000'000);
  CHECK(code_of([&] { static_cast<void>(std::move(refused).finish()); }) == errc::too_large);
}

TEST_CASE("encoder: nesting has a limit, and levels that were left do not count") {
  codec_limits shallow;
  shallow.depth = 2;
  encoder to(shallow);
  for (int i = 0; i < 10; ++i) {
    to.enter();
    to.enter();
    to.leave();
    to.leave();
  }
  to.enter();
  to.enter();
  CHECK(code_of([&] { to.enter(); }) == errc::encode_failed);
}
