// SPDX-License-Identifier: BSL-1.0
#include "dtask/wire/decoder.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/allocations.hpp"
#include "wire/random_message.hpp"

namespace wire = dtask::wire;
using dtask::bytes;
using dtask::errc;
using dtask::error;

namespace {

constexpr std::size_t message_types = wire::message::size;

wire::decoder accepted_decoder() {
  wire::decoder in(wire::side::connecting);
  in.set_limits({});
  return in;
}

error feed(wire::decoder& in, std::span<const std::byte> raw, std::vector<wire::message>& out) {
  return in.feed(raw, [&](wire::message&& m) {
    out.push_back(std::move(m));
    return true;
  });
}
error feed_text(wire::decoder& in, std::string_view raw) {
  std::vector<wire::message> ignored;
  return feed(in, std::as_bytes(std::span(raw)), ignored);
}

/// A frame made by hand.
std::vector<std::byte> frame(std::uint8_t type, std::vector<std::byte> body, std::uint64_t blob_bytes = 0,
                             std::uint32_t flags = 0) {
  wire::frame_header h;
  h.type = type;
  h.body = static_cast<std::uint32_t>(body.size());
  h.blob_bytes = blob_bytes;
  h.flags = flags;
  std::vector<std::byte> out(wire::frame_header::size);
  wire::store(out.data(), h);
  out.insert(out.end(), body.begin(), body.end());
  return out;
}
struct body_writer {
  std::vector<std::byte> raw;
  template <class T>
  body_writer& put(T value) {
    raw.resize(raw.size() + sizeof(T));
    wire::detail::store_le(raw.data() + raw.size() - sizeof(T), value);
    return *this;
  }
  body_writer& fill(std::size_t count, std::uint8_t value = 0) {
    raw.resize(raw.size() + count, static_cast<std::byte>(value));
    return *this;
  }
};

/// What decoding this allocates at its peak, besides what was there before.
std::size_t peak_of(const std::function<void()>& decode) {
  const std::size_t before = test::live_bytes();
  test::reset_peak();
  decode();
  return test::peak_bytes() - before;
}

}  // namespace

TEST_CASE("every message comes out as it went in") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    for (std::size_t index = 0; index < message_types; ++index) {
      CAPTURE(index);
      test::filler fill(seed * 1000 + index), again(seed * 1000 + index);
      const wire::message sent = again.message(index);
      wire::decoder in(index == 0 ? wire::side::listening : wire::side::connecting);
      if (index != 0) in.set_limits({});
      std::vector<wire::message> got;
      const error bad = feed(in, test::encode(fill.message(index)), got);
      REQUIRE_MESSAGE(!bad, bad.what());
      REQUIRE(got.size() == 1);
      CHECK(test::same(sent, got[0]));
      CHECK_FALSE(in.at_end());
    }
  }
}

TEST_CASE("the comparison of messages sees a changed field") {
  wire::run a, b;
  CHECK(test::same(wire::message(a), wire::message(b)));
  b.attempt = 7;
  CHECK_FALSE(test::same(wire::message(a), wire::message(b)));
  wire::hello c, d;
  d.running.resize(1);
  CHECK_FALSE(test::same(wire::message(c), wire::message(d)));
}

TEST_CASE("byte by byte and in random cuts the messages are the same") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    test::filler fill(seed), again(seed), cut(seed + 77);
    std::vector<std::byte> raw;
    std::vector<wire::message> sent;
    for (int i = 0; i < 30; ++i) {
      const std::size_t index = 1 + cut.below(message_types - 1);
      const auto one = test::encode(fill.message(index));
      raw.insert(raw.end(), one.begin(), one.end());
      sent.push_back(again.message(index));
    }
    wire::decoder in = accepted_decoder();
    std::vector<wire::message> got;
    for (std::size_t at = 0; at < raw.size();) {
      const std::size_t n =
          seed == 1 ? 1 : std::min<std::size_t>(raw.size() - at, 1 + cut.below(seed % 2 ? 20 : 30000));
      const error bad = feed(in, std::span(raw).subspan(at, n), got);
      REQUIRE_MESSAGE(!bad, bad.what());
      at += n;
    }
    REQUIRE(got.size() == sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) {
      CAPTURE(i);
      CHECK(test::same(sent[i], got[i]));
    }
  }
}

TEST_CASE("a large block is received where it stays") {
  test::filler fill(5);
  wire::chunk c;
  c.transfer = 1;
  c.data = fill.block(1u << 20);
  const bytes sent = c.data;
  const auto raw = test::encode(std::move(c));
  wire::decoder in = accepted_decoder();
  std::vector<wire::message> got;
  REQUIRE_FALSE(feed(in, std::span(raw).first(100), got));
  const auto space = in.space();
  CHECK(space[0].size() >= sent.size() - 100);
  CHECK(space[1].size() > 0);
  const std::byte* const inside = space[0].data();
  REQUIRE_FALSE(feed(in, std::span(raw).subspan(100), got));
  REQUIRE(got.size() == 1);
  const bytes& data = got[0].get_if<wire::chunk>()->data;
  CHECK(data == sent);
  CHECK(inside > data.begin());
  CHECK(inside < data.end());
}

TEST_CASE(
    "the ends of a transfer receive its chunks side by side when the pool has a block for the part, the middle does "
    "not") {
  test::filler fill(6);
  dtask::payload p;
  p.body = fill.block(100);
  p.blobs = {fill.block((2u << 20) + 100), fill.block(3u << 20)};
  const wire::pieces from = wire::pieces_of(p);
  for (const auto at : {wire::side::connecting, wire::side::listening}) {
    dtask::block_pool pool;
    {
      const dtask::mutable_bytes a(p.blobs[0].size(), pool), b(p.blobs[1].size(), pool);
    }  // now idle
    wire::decoder in(at, {}, pool);
    in.set_limits({});
    // Two transfers whose chunks come in turns; the second has to do without a block of its own.
    wire::assembler whole[2]{wire::assembler(from.lengths, pool), wire::assembler(from.lengths, pool)};
    wire::chunk_cursor cut[2];
    bool adjacent = true;
    const std::byte* last = nullptr;
    for (bool more = true; more;) {
      more = false;
      for (const std::uint64_t transfer : {1u, 2u}) {
        auto c = cut[transfer - 1].next(from, transfer, {});
        if (!c) continue;
        more = true;
        std::vector<wire::message> got;
        REQUIRE_FALSE(feed(in, test::encode(wire::message(*c)), got));
        REQUIRE(got.size() == 1);
        auto& piece = *got[0].get_if<wire::chunk>();
        if (transfer == 1 && piece.part == p.blobs[1].size()) {
          if (last != nullptr) adjacent = adjacent && last == piece.data.begin();
          last = piece.data.end();
        }
        REQUIRE_FALSE(whole[transfer - 1].accept(std::move(piece)));
      }
    }
    CHECK(adjacent == (at == wire::side::connecting));
    for (auto& w : whole) {
      REQUIRE(w.complete());
      const dtask::payload got = std::move(w).take();
      CHECK(got.body == p.body);
      CHECK(got.blobs == p.blobs);
    }
  }
}

TEST_CASE("no block stays with the link after the transfer, whenever one becomes idle") {
  test::filler fill(8);
  dtask::payload p;
  p.body = fill.block(100);
  p.blobs = {fill.block((4u << 20) + 77), fill.block(5u << 20)};
  const wire::pieces from = wire::pieces_of(p);
  dtask::block_pool pool;
  wire::decoder in(wire::side::connecting, {}, pool);
  in.set_limits({});
  for (unsigned appears = 0; appears < 12; ++appears) {
    CAPTURE(appears);
    std::vector<dtask::mutable_bytes> others;  // of the sizes that the parts want, released in the middle
    for (const bytes& blob : p.blobs) others.push_back(dtask::mutable_bytes(blob.size(), pool));
    wire::assembler whole(from.lengths, pool);
    wire::chunk_cursor cut;
    for (unsigned n = 0;; ++n) {
      if (n == appears) others.clear();
      auto c = cut.next(from, appears + 1, {});
      if (!c) break;
      std::vector<wire::message> got;
      REQUIRE_FALSE(feed(in, test::encode(wire::message(*c)), got));
      REQUIRE(got.size() == 1);
      REQUIRE_FALSE(whole.accept(std::move(*got[0].get_if<wire::chunk>())));
    }
    others.clear();
    REQUIRE(whole.complete());
    {
      const dtask::payload got = std::move(whole).take();
      CHECK(got.blobs == p.blobs);
    }
    CHECK(pool.lent_bytes() == 0);
  }
}

TEST_CASE("a chunk that lies about its part allocates nothing more, and takes no block that is not idle") {
  dtask::block_pool pool;
  wire::decoder in(wire::side::connecting, {}, pool);
  in.set_limits({});
  test::filler fill(7);
  std::vector<wire::message> got;
  got.reserve(8);
  for (const std::uint64_t part : {std::uint64_t{1} << 30, ~std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0}}) {
    wire::chunk c;
    c.transfer = part;
    c.part = part;
    c.data = fill.block(20000);
    const auto raw = test::encode(wire::message(c));
    const std::size_t peak = peak_of([&] { REQUIRE_FALSE(feed(in, raw, got)); });
    CHECK(peak <= 20000 * 5 / 4 + (80u << 10));
  }
  CHECK(got.size() == 4);
}

TEST_CASE("a sink that says stop keeps the rest for later") {
  std::vector<std::byte> raw;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    const auto one = test::encode(wire::ping{i});
    raw.insert(raw.end(), one.begin(), one.end());
  }
  wire::decoder in(wire::side::listening);
  const auto space = in.space();
  std::memcpy(space[0].data(), raw.data(), raw.size());
  in.commit(raw.size());
  std::vector<std::uint64_t> stamps;
  const auto one_only = [&](wire::message&& m) {
    stamps.push_back(m.get_if<wire::ping>()->stamp);
    return false;
  };
  CHECK_FALSE(in.parse(one_only));
  CHECK(stamps.size() == 1);
  CHECK_FALSE(in.parse(one_only));
  CHECK_FALSE(in.parse(one_only));
  CHECK_FALSE(in.parse(one_only));
  CHECK(stamps == std::vector<std::uint64_t>{1, 2, 3});
}

TEST_CASE("small payloads share one exact block and do not hold the receive buffer") {
  wire::submit s;
  s.arguments.whole.body = bytes::copy("body");
  s.arguments.whole.blobs = {bytes::copy("one"), bytes(), bytes::copy("three")};
  wire::decoder in = accepted_decoder();
  std::vector<wire::message> got;
  const auto raw = test::encode(wire::message(s));
  REQUIRE_FALSE(feed(in, test::encode(wire::ping{1}), got));
  const std::size_t before = test::live_bytes();
  got.reserve(2);
  const std::size_t list = test::live_bytes() - before;
  REQUIRE_FALSE(feed(in, raw, got));
  CHECK(test::live_bytes() - before - list < 300);
  const dtask::payload& p = got[1].get_if<wire::submit>()->arguments.whole;
  CHECK(p.body.view() == "body");
  REQUIRE(p.blobs.size() == 3);
  CHECK(p.blobs[0].view() == "one");
  CHECK(p.blobs[1].empty());
  CHECK(p.blobs[2].view() == "three");
  CHECK(p.blobs[2].owner() == p.body.owner());
}

// ---- peers that are not dtask, or not friendly ----

TEST_CASE("what is not dtask is known at the first bytes, however they are cut") {
  for (const std::string_view raw :
       {std::string_view("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), std::string_view("garbage")}) {
    wire::decoder whole(wire::side::listening);
    CHECK(feed_text(whole, raw).code() == errc::protocol_error);
    wire::decoder bits(wire::side::listening);
    error bad;
    std::size_t used = 0;
    while (!bad && used < raw.size()) bad = feed_text(bits, raw.substr(used++, 1));
    CHECK(bad.code() == errc::protocol_error);
    CHECK(used == 4);
    CHECK(feed_text(bits, "more").code() == errc::protocol_error);
  }
}

TEST_CASE("another version is refused with both versions named") {
  auto raw = test::encode(wire::ping{1});
  raw[2] = std::byte{9};
  wire::decoder in(wire::side::listening);
  std::vector<wire::message> got;
  const error bad = feed(in, raw, got);
  CHECK(bad.code() == errc::version_mismatch);
  CHECK(bad.cause() == "the peer speaks version 9 of the dtask protocol, this side version 3");
  CHECK(got.empty());
}

TEST_CASE("a stranger may only greet") {
  std::vector<wire::message> got;
  wire::decoder early(wire::side::listening);
  CHECK(feed(early, test::encode(wire::submit{}), got).cause() == "a submit frame before the hello was accepted");
  wire::decoder posing(wire::side::listening);
  CHECK(feed(posing, test::encode(wire::welcome{}), got).cause() ==
        "a welcome frame from a peer that connected to this side");
  wire::decoder large(wire::side::listening);
  wire::frame_header h;
  h.type = wire::type_of<wire::hello>;
  h.body = wire::max_hello + 1;
  std::vector<std::byte> raw(wire::frame_header::size);
  wire::store(raw.data(), h);
  CHECK(feed(large, raw, got).code() == errc::too_large);
  CHECK(got.empty());
}

TEST_CASE("the limits in a welcome hold at once, for the frame behind it in the same read") {
  wire::welcome w;
  w.limits.frame_blobs = 128u << 10;
  wire::run r;
  r.arguments.whole.body = bytes::copy(std::string(100000, 'x'));
  auto raw = test::encode(wire::message(w));
  const auto second = test::encode(wire::message(r));
  raw.insert(raw.end(), second.begin(), second.end());
  wire::decoder in(wire::side::connecting);
  std::vector<wire::message> got;
  REQUIRE_FALSE(feed(in, raw, got));
  CHECK(got.size() == 2);
  wire::chunk c;
  c.data = bytes::copy(std::string(200000, 'x'));
  CHECK(feed(in, test::encode(wire::message(c)), got).code() == errc::too_large);
}

TEST_CASE("a frame that announces 4 GiB is refused before anything is allocated") {
  std::vector<wire::message> got;
  const std::size_t peak = peak_of([&] {
    for (const bool accepted : {false, true}) {
      for (const bool blobs : {false, true}) {
        wire::decoder in(wire::side::listening);
        if (accepted) in.set_limits({});
        wire::frame_header h;
        h.type = accepted ? wire::type_of<wire::submit> : wire::type_of<wire::hello>;
        (blobs ? h.blob_bytes = std::uint64_t{4} << 30 : h.body = 0xffffffff);
        std::vector<std::byte> raw(wire::frame_header::size);
        wire::store(raw.data(), h);
        const error bad = feed(in, raw, got);
        CHECK(bad.code() == errc::too_large);
        CHECK(std::string(bad.what()).find("is over the limit") != std::string::npos);
      }
    }
  });
  CHECK(peak < (64u << 10) + 4 * 32);
}

TEST_CASE("an announced body is not allocated before it comes") {
  wire::frame_header h;
  h.type = wire::type_of<wire::submit>;
  h.body = 1u << 20;
  std::vector<std::byte> raw(wire::frame_header::size + 1000);
  wire::store(raw.data(), h);
  wire::decoder in = accepted_decoder();
  std::vector<wire::message> got;
  const std::size_t peak = peak_of([&] {
    CHECK_FALSE(feed(in, raw, got));
    (void)in.space();
  });
  CHECK(peak < 40u << 10);
  CHECK(in.at_end().cause() == "the peer closed in the middle of a frame (1032 bytes of it had come)");
}

TEST_CASE("counts and tables that lie are refused with a reason, within 4 x frame + 64 KiB") {
  struct evil {
    const char* what;
    std::vector<std::byte> raw;
    const char* reason;
  };
  const auto carried_frame = [](body_writer tail, std::uint64_t blob_bytes = 0) {
    // A `done`: code, four empty texts, then the payload.
    body_writer b;
    b.put(std::uint16_t{0}).fill(16);
    b.raw.insert(b.raw.end(), tail.raw.begin(), tail.raw.end());
    return frame(wire::type_of<wire::done>, b.raw, blob_bytes);
  };
  const auto whole = [](std::uint32_t parts) { return body_writer().put(std::uint8_t{0}).put(parts); };
  const std::vector<evil> corpus = {
      {"list count", frame(wire::type_of<wire::acknowledge>, body_writer().put(0xffffffffu).put(std::uint64_t{1}).raw),
       "a count is larger than the rest of the frame"},
      {"text length", frame(wire::type_of<wire::goodbye>, body_writer().put(0x7fffffffu).fill(10).raw),
       "a count is larger than the rest of the frame"},
      {"truncated", frame(wire::type_of<wire::slots>, body_writer().put(1u).put(std::uint16_t{1}).raw),
       "the frame is shorter than its message"},
      {"too long", frame(wire::type_of<wire::slots>, body_writer().put(1u).put(1u).put(1u).raw),
       "the frame is longer than its message"},
      {"body on an empty message", frame(wire::type_of<wire::ping>, body_writer().put(1u).raw),
       "the frame is longer than its message"},
      {"part count", carried_frame(whole(0x40000000)), "a count is larger than the rest of the frame"},
      {"more blocks than allowed", carried_frame(whole(1026).fill(4 * 1026)),
       "a payload has more blocks than the limit"},
      {"part longer than the frame", carried_frame(whole(1).put(std::uint32_t{16384})),
       "its data is longer than the frame"},
      {"outside bytes not announced", carried_frame(whole(1).put(0xffffffffu)),
       "the lengths of its blocks do not add up to those announced in the head"},
      {"announced bytes without a part", carried_frame(whole(0), 5),
       "the lengths of its blocks do not add up to those announced in the head"},
      {"sum wraps at 32 bits", carried_frame(whole(2).put(0xffffffffu).put(20001u), 20000),
       "the lengths of its blocks do not add up to those announced in the head"},
      {"transfer 0",
       carried_frame(body_writer().put(std::uint8_t{1}).put(std::uint64_t{0}).put(1u).put(std::uint64_t{5})),
       "an announced payload has no number"},
      {"announced 2^63",
       carried_frame(body_writer().put(std::uint8_t{1}).put(std::uint64_t{1}).put(1u).put(std::uint64_t{1} << 63)),
       "an announced payload is over the limit"},
      {"announced sum wraps",
       carried_frame(body_writer()
                         .put(std::uint8_t{1})
                         .put(std::uint64_t{1})
                         .put(2u)
                         .put(std::uint64_t{1} << 32)
                         .put(~std::uint64_t{0})),
       "an announced payload is over the limit"},
      {"neither whole nor announced", carried_frame(body_writer().put(std::uint8_t{2})),
       "a payload is neither whole nor announced"},
      {"flags", frame(wire::type_of<wire::drain>, {}, 0, 1), "unknown flags"},
      {"flag of two", frame(wire::type_of<wire::known_calls>, body_writer().put(0u).put(std::uint8_t{2}).raw),
       "a flag is neither 0 nor 1"},
      {"choice", frame(wire::type_of<wire::state>, body_writer().put(std::uint8_t{9}).raw), "a choice is out of range"},
  };
  for (const evil& e : corpus) {
    CAPTURE(e.what);
    error bad;
    const std::size_t peak = peak_of([&] {
      wire::decoder in = accepted_decoder();
      std::vector<wire::message> got;
      bad = feed(in, e.raw, got);
      CHECK(got.empty());
    });
    CHECK(bad.code() == errc::protocol_error);
    CHECK_MESSAGE(bad.cause().find(e.reason) != std::string::npos, bad.what());
    CHECK(peak <= 4 * e.raw.size() + (64u << 10));
  }
}

TEST_CASE("frames built to be large in memory and small on the wire stay within 4 x frame + 64 KiB") {
  const auto measure = [](const std::vector<std::byte>& raw, wire::side at) {
    bool whole = false;
    const std::size_t peak = peak_of([&] {
      wire::decoder in(at);
      if (at == wire::side::connecting) in.set_limits({});
      const error bad = in.feed(raw, [&](wire::message&&) { return whole = true; });
      CHECK_MESSAGE(!bad, bad.what());
    });
    CHECK(whole);
    CAPTURE(raw.size());
    CHECK(peak <= 4 * raw.size() + (64u << 10));
  };
  wire::hello h;
  h.jobs.assign(4096, wire::job_type{"x", 1, ""});
  measure(test::encode(wire::message(h)), wire::side::listening);
  h.jobs.resize(500);
  measure(test::encode(wire::message(h)), wire::side::listening);
  wire::submit s;
  s.arguments.whole.blobs.assign(1024, bytes::copy("x"));
  measure(test::encode(wire::message(s)), wire::side::connecting);
  s.arguments.whole.blobs.assign(1024, bytes());
  measure(test::encode(wire::message(s)), wire::side::connecting);
  s.arguments.whole.blobs.assign(60, bytes::copy(std::string(16384, 'x')));
  measure(test::encode(wire::message(s)), wire::side::connecting);
  s.arguments.whole.blobs.assign(60, bytes::copy(std::string(16385, 'x')));
  measure(test::encode(wire::message(s)), wire::side::connecting);
  wire::status_report r;
  r.now.workers.resize(9000);
  measure(test::encode(wire::message(r)), wire::side::connecting);
  wire::acknowledge a;
  a.calls.resize(100000);
  measure(test::encode(wire::message(a)), wire::side::connecting);
}

TEST_CASE("blocks of a payload cost no more under raised limits, nor do lengths that lie") {
  wire::limits raised;
  raised.blobs = 1u << 20;
  const auto refused = [&](std::uint32_t parts, std::uint32_t size, std::string_view reason) {
    CAPTURE(parts);
    // A `done`: code, four empty texts, then the payload.
    body_writer b;
    b.put(std::uint16_t{0}).fill(16);
    b.put(std::uint8_t{0}).put(parts);
    for (std::uint32_t i = 0; i < parts; ++i) b.put(size);
    const std::vector<std::byte> raw = frame(wire::type_of<wire::done>, b.raw);
    error bad;
    const std::size_t peak = peak_of([&] {
      wire::decoder in(wire::side::connecting, raised);
      in.set_limits(raised);
      std::vector<wire::message> got;
      bad = feed(in, raw, got);
      CHECK(got.empty());
    });
    CHECK_MESSAGE(bad.cause().find(reason) != std::string::npos, bad.what());
    CHECK(peak <= 4 * raw.size() + (64u << 10));
  };
  refused(wire::blobs_in_frame + 2, 0, "a payload has more blocks than fit in a frame");
  refused(200'000, 0, "a payload has more blocks than fit in a frame");
  refused(wire::blobs_in_frame + 1, 20'000, "do not add up to those announced");
}

TEST_CASE("limits that one could not work with are refused") {
  wire::hello h;
  h.limits.frame_blobs = 1;
  wire::decoder in(wire::side::listening);
  std::vector<wire::message> got;
  CHECK(feed(in, test::encode(wire::message(h)), got).cause() ==
        "malformed hello frame: its limits are too small to work with");
}

TEST_CASE("a hundred thousand random mutations give messages or reasons, within bounds") {
  const auto began = std::chrono::steady_clock::now();
  const std::uint64_t seed = static_cast<std::uint64_t>(began.time_since_epoch().count());
  CAPTURE(seed);
  test::filler random(seed);
  std::vector<std::vector<std::byte>> corpus;
  for (std::size_t index = 0; index < message_types; ++index)
    for (int i = 0; i < 8; ++i) {
      auto one = test::encode(random.message(index));
      if (one.size() < 3000) corpus.push_back(std::move(one));
    }
  std::size_t messages = 0, faults = 0;
  const std::size_t peak = peak_of([&] {
    for (int i = 0; i < 100000; ++i) {
      std::vector<std::byte> raw = corpus[random.below(corpus.size())];
      for (std::uint64_t k = 1 + random.below(4); k-- > 0;)
        raw[random.below(raw.size())] = static_cast<std::byte>(random.below(256));
      if (random.below(4) == 0) raw.resize(random.below(raw.size()) + 1);
      wire::decoder in(random.below(2) == 0 ? wire::side::connecting : wire::side::listening);
      if (random.below(4) != 0) in.set_limits({});
      const error bad = in.feed(raw, [&](wire::message&&) { return ++messages, true; });
      if (bad) {
        ++faults;
        REQUIRE(std::string_view(bad.what()).size() > 10);
      }
    }
  });
  CHECK(messages > 1000);
  CHECK(faults > 1000);
  CHECK(peak < 4 * (2u << 20) + (64u << 10));
}
