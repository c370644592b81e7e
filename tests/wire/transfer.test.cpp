// SPDX-License-Identifier: BSL-1.0
#include "dtask/wire/transfer.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "wire/random_message.hpp"

namespace wire = dtask::wire;
using dtask::bytes;
using dtask::payload;

namespace {
payload random_payload(test::filler& fill, std::size_t scale) {
  payload p;
  p.body = fill.block(fill.below(scale));
  p.blobs.resize(fill.below(5));
  for (bytes& b : p.blobs)
    if (fill.below(4) != 0) b = fill.block(fill.below(scale));
  return p;
}
bool same_parts(const payload& a, const payload& b) { return a.body == b.body && a.blobs == b.blobs; }
wire::limits small_limits() {
  wire::limits l;
  l.frame_blobs = 64u << 10;
  return l;
}
}  // namespace

TEST_CASE("a payload cut into chunks is put together again") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    test::filler fill(seed);
    const payload sent = random_payload(fill, 600000);
    const wire::pieces from = wire::pieces_of(sent);
    CHECK(from.size() == sent.size());
    const wire::carried announced = wire::announce(from.lengths, 3);
    wire::assembler whole(announced.lengths);
    wire::chunk_order order(announced.lengths);
    wire::pieces middle{.lengths = announced.lengths, .blocks = {}};  // as one keeps it who forwards
    wire::chunk_cursor cut;
    while (const auto c = cut.next(from, 3, small_limits())) {
      CHECK(c->data.size() <= small_limits().frame_blobs);
      REQUIRE_FALSE(whole.accept(*c));
      REQUIRE_FALSE(order.accept(*c));
      middle.blocks.push_back(c->data);
    }
    REQUIRE(whole.complete());
    REQUIRE(order.complete());
    CHECK(whole.received() == sent.size());
    CHECK(same_parts(std::move(whole).take(), sent));
    // What was kept in blocks is forwarded with another limit.
    CHECK(middle.size() == sent.size());
    wire::assembler second(middle.lengths);
    wire::chunk_cursor again;
    while (const auto c = again.next(middle, 4, {})) REQUIRE_FALSE(second.accept(*c));
    REQUIRE(second.complete());
    CHECK(same_parts(std::move(second).take(), sent));
  }
}

TEST_CASE("cut-through: chunks are cut while blocks still arrive") {
  wire::pieces growing;
  growing.lengths = {0, 30};
  wire::chunk_cursor cut;
  CHECK_FALSE(cut.next(growing, 1, {}).has_value());
  growing.blocks.push_back(bytes::copy(std::string(10, 'a')));
  CHECK(cut.next(growing, 1, {})->offset == 0);
  CHECK_FALSE(cut.next(growing, 1, {}).has_value());
  growing.blocks.push_back(bytes::copy(std::string(20, 'b')));
  const auto second = cut.next(growing, 1, {});
  CHECK(second->offset == 10);
  CHECK(second->data.size() == 20);
  CHECK(cut.sent() == 30);
}

TEST_CASE("chunks that lie side by side are one part without a copy; others are joined once") {
  test::filler fill(4);
  payload p;
  p.body = fill.block(100);
  p.blobs = {fill.block(50000), fill.block(900000)};
  const wire::pieces from = wire::pieces_of(p);
  wire::assembler whole(from.lengths);
  wire::chunk_cursor cut;
  while (auto c = cut.next(from, 1, small_limits())) CHECK_FALSE(whole.accept(std::move(*c)));
  const payload got = std::move(whole).take();
  CHECK(got.body.data() == p.body.data());
  CHECK(got.blobs[0].data() == p.blobs[0].data());
  CHECK(got.blobs[1].data() == p.blobs[1].data());
  CHECK(got.blobs[1].size() == p.blobs[1].size());

  wire::assembler apart(from.lengths);
  wire::chunk_cursor again;
  for (int n = 0; auto c = again.next(from, 1, small_limits()); ++n) {
    if (n % 3 != 0) c->data = bytes::copy(c->data.span());  // some side by side, most not
    CHECK_FALSE(apart.accept(std::move(*c)));
  }
  const payload joined = std::move(apart).take();
  CHECK(joined.blobs[1].data() != p.blobs[1].data());
  CHECK(same_parts(joined, p));
}

TEST_CASE("the last chunk of a part is long enough to travel outside of its frame's body") {
  for (const std::size_t size :
       {std::size_t{65537}, std::size_t{70000}, std::size_t{65536 + 16384}, std::size_t{65536 + 16385}}) {
    CAPTURE(size);
    payload p;
    p.body = bytes::copy(std::string(size, 'x'));
    const wire::pieces from = wire::pieces_of(p);
    wire::chunk_cursor cut;
    std::size_t total = 0;
    while (const auto c = cut.next(from, 1, small_limits())) {
      CHECK(c->data.size() > wire::splice_over);
      CHECK(c->part == size);
      total += c->data.size();
    }
    CHECK(total == size);
  }
}

TEST_CASE("an announced payload of nothing but empty parts is complete at once") {
  wire::assembler whole({0, 0, 0});
  CHECK(whole.complete());
  CHECK(std::move(whole).take().blobs.size() == 2);
}

TEST_CASE("chunks out of order, empty, too long or too many are refused") {
  const auto piece = [](std::uint64_t offset, std::size_t size) {
    wire::chunk c;
    c.transfer = 1;
    c.offset = offset;
    c.data = bytes::copy(std::string(size, 'x'));
    return c;
  };
  CHECK(wire::assembler({10, 20}).accept(piece(1, 5)).code() == dtask::errc::protocol_error);
  CHECK(wire::assembler({10, 20}).accept(piece(0, 0)).code() == dtask::errc::protocol_error);
  CHECK(wire::assembler({10, 20}).accept(piece(0, 11)).code() == dtask::errc::protocol_error);
  wire::chunk_order full(std::vector<std::uint64_t>{10});
  CHECK_FALSE(full.accept(piece(0, 10)));
  CHECK(full.complete());
  CHECK(full.accept(piece(10, 1)).code() == dtask::errc::protocol_error);
  CHECK(wire::chunk_order(std::vector<std::uint64_t>{}).accept(piece(0, 1)).code() == dtask::errc::protocol_error);
}

TEST_CASE("what fits in a frame is decided by the bytes inside and outside of its body") {
  payload p;
  CHECK(wire::fits_in_frame(p, {}));
  p.body = bytes::copy(std::string(1u << 20, 'x'));
  CHECK(wire::fits_in_frame(p, {}));
  p.blobs.push_back(bytes::copy(std::string(17u << 10, 'x')));
  CHECK_FALSE(wire::fits_in_frame(p, {}));
  p.body = {};
  p.blobs.assign(70, bytes::copy(std::string(16u << 10, 'x')));
  CHECK_FALSE(wire::fits_in_frame(p, {}));
  p.blobs.resize(55);
  CHECK(wire::fits_in_frame(p, {}));
  wire::submit s;
  s.arguments.whole = p;
  wire::outbox out;
  CHECK_FALSE(out.push(std::move(s), {}));
}

TEST_CASE("a payload of many blocks does not travel in a frame, whatever the limits are") {
  wire::limits raised;
  raised.blobs = 1u << 20;
  payload p;
  p.blobs.resize(wire::blobs_in_frame);
  CHECK(wire::fits_in_frame(p, raised));
  p.blobs.resize(wire::blobs_in_frame + 1);
  CHECK_FALSE(wire::fits_in_frame(p, raised));
  CHECK_FALSE(wire::check_payload(p, raised));
}

TEST_CASE("a payload over the limits is named before anything is sent") {
  wire::limits l;
  l.blobs = 2;
  l.payload = 100;
  payload p;
  p.blobs.resize(3);
  CHECK(wire::check_payload(p, l).code() == dtask::errc::too_large);
  p.blobs.resize(2);
  CHECK_FALSE(wire::check_payload(p, l));
  p.body = bytes::copy(std::string(101, 'x'));
  CHECK(std::string(wire::check_payload(p, l).what()) ==
        "a payload of 101 bytes is over the limit of 100: split the value, or raise --payload-bytes of coordinator and "
        "worker (limits.payload in the options of all)");
}
