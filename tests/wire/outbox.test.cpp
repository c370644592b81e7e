// SPDX-License-Identifier: BSL-1.0
#include "dtask/wire/outbox.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <vector>

#include "dtask/wire/decoder.hpp"
#include "wire/allocations.hpp"
#include "wire/random_message.hpp"

namespace wire = dtask::wire;
using dtask::bytes;
using slice = wire::outbox::slice;

namespace {
wire::chunk chunk_of(const bytes& data) {
  wire::chunk c;
  c.transfer = 9;
  c.data = data;
  return c;
}
}  // namespace

TEST_CASE("a message without fields of its own is one head") {
  wire::outbox out;
  CHECK_FALSE(out.push(wire::ping{7}, {}));
  CHECK(out.unsent() == wire::frame_header::size);
  CHECK_FALSE(out.push(wire::started{5, 6}, {}));
  CHECK(out.unsent() == 2 * wire::frame_header::size);
  CHECK(out.take_all().size() == 2 * wire::frame_header::size);
  CHECK(out.empty());
}

TEST_CASE("a large block is sent from where it lies, a small one is copied") {
  test::filler fill(1);
  const bytes large = fill.block(50000), small = fill.block(wire::splice_over);
  wire::outbox out;
  CHECK_FALSE(out.push(chunk_of(large), {}));
  CHECK_FALSE(out.push(chunk_of(small), {}));
  std::array<slice, 8> slices;
  const std::size_t used = out.gather(slices, 1u << 20);
  REQUIRE(used == 3);
  CHECK(slices[1].data() == large.data());
  CHECK(slices[1].size() == large.size());
  CHECK(slices[2].size() > small.size());
}

TEST_CASE("what gather returned stays while more is pushed, and blocks are released as they are written") {
  test::filler fill(2);
  bytes large = fill.block(100000);
  const bytes copy = bytes::copy(large.span());
  std::weak_ptr<const void> alive = large.owner();
  wire::outbox out;
  CHECK_FALSE(out.push(chunk_of(std::move(large)), {}));
  large = {};
  std::array<slice, 8> slices;
  const std::size_t used = out.gather(slices, 1u << 20);
  REQUIRE(used == 2);
  const std::vector<std::byte> head(slices[0].begin(), slices[0].end());
  for (int i = 0; i < 10000; ++i) CHECK_FALSE(out.push(wire::ping{1}, {}));
  CHECK(std::equal(head.begin(), head.end(), slices[0].begin()));
  CHECK(bytes::copy(slices[1]) == copy);
  out.consumed(head.size());
  CHECK_FALSE(alive.expired());
  out.consumed(copy.size());
  CHECK(alive.expired());
  CHECK(out.unsent() == 10000 * wire::frame_header::size);
}

TEST_CASE("written in any cuts, the bytes are the same") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    test::filler fill(seed), again(seed), cut(seed + 1000);
    wire::outbox whole, pieces;
    std::vector<std::byte> got;
    std::array<slice, 5> slices;
    for (int i = 0; i < 60; ++i) {
      const std::size_t index = cut.below(wire::message::size);
      REQUIRE_FALSE(whole.push(fill.message(index), {}));
      REQUIRE_FALSE(pieces.push(again.message(index), {}));
      while (cut.below(3) != 0) {
        const std::size_t used = pieces.gather(std::span(slices).first(1 + cut.below(5)), 1 + cut.below(40000));
        std::size_t total = 0;
        for (std::size_t k = 0; k < used; ++k) total += slices[k].size();
        std::size_t take = used == 0 ? 0 : 1 + cut.below(total);
        const std::size_t taken = take;
        for (std::size_t k = 0; k < used && take != 0; ++k) {
          const std::size_t n = std::min(take, slices[k].size());
          got.insert(got.end(), slices[k].begin(), slices[k].begin() + static_cast<std::ptrdiff_t>(n));
          take -= n;
        }
        pieces.consumed(taken);
      }
    }
    const std::vector<std::byte> rest = pieces.take_all();
    got.insert(got.end(), rest.begin(), rest.end());
    CHECK(got == whole.take_all());
  }
}

TEST_CASE("a message over the limits is not queued, and what was queued before it is intact") {
  wire::outbox out;
  CHECK_FALSE(out.push(wire::ping{1}, {}));
  const dtask::error bad = out.push(chunk_of(bytes::copy(std::string((1u << 20) + 1, 'x'))), {});
  CHECK(bad.code() == dtask::errc::too_large);
  CHECK(std::string(bad.what()).starts_with("chunk message of "));
  wire::acknowledge many;
  many.calls.resize(200000);
  CHECK(out.push(std::move(many), {}).code() == dtask::errc::too_large);
  CHECK_FALSE(out.push(wire::ping{2}, {}));
  wire::decoder in(wire::side::listening);
  std::vector<std::uint64_t> stamps;
  CHECK_FALSE(in.feed(out.take_all(), [&](wire::message&& m) {
    stamps.push_back(m.get_if<wire::ping>()->stamp);
    return true;
  }));
  CHECK(stamps == std::vector<std::uint64_t>{1, 2});
}

#if !DTASK_ASAN && !DTASK_TSAN
TEST_CASE("a message that there is no memory for is not queued, and what stands around it is intact") {
  test::filler fill(3);
  wire::outbox out;
  CHECK_FALSE(out.push(wire::ping{2001}, {}));
  wire::message large(chunk_of(fill.block(50000)));
  test::fail_next();
  CHECK_THROWS_AS(static_cast<void>(out.push(std::move(large), {})), std::bad_alloc);
  CHECK(out.unsent() == wire::frame_header::size);
  CHECK_FALSE(out.push(wire::ping{2002}, {}));
  wire::decoder in(wire::side::listening);
  std::vector<std::uint64_t> stamps;
  CHECK_FALSE(in.feed(out.take_all(), [&](wire::message&& m) {
    stamps.push_back(m.get_if<wire::ping>()->stamp);
    return true;
  }));
  CHECK(stamps == std::vector<std::uint64_t>{2001, 2002});
}
#endif

TEST_CASE("long texts of a failure are cut, so that an exception's message cannot break a link") {
  wire::done d;
  d.why.code = dtask::errc::job_failed;
  d.why.message.assign(5u << 20, 'm');
  d.why.type.assign(5u << 20, 't');
  d.why.place.assign(5u << 20, 'p');
  d.why.remedy.assign(5u << 20, 'r');
  wire::outbox out;
  CHECK_FALSE(out.push(std::move(d), {}));
  CHECK(out.unsent() < wire::frame_reserve);
}
