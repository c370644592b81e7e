// SPDX-License-Identifier: BSL-1.0
#include "dtask/control/stream.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace dtask;
using namespace dtask::control;

namespace {

wire::chunk piece(std::uint64_t offset, std::string text) {
  wire::chunk out;
  out.transfer = 1;
  out.offset = offset;
  out.data = bytes::from(std::move(text));
  return out;
}

}  // namespace

TEST_CASE("stream: takes its bytes in order, and is complete with the last") {
  const auto s = make_stream(std::vector<std::uint64_t>{3, 4});
  CHECK_FALSE(s->complete());
  CHECK(s->accept(piece(0, "abc")).code() == errc::ok);
  CHECK(s->arrived == 3);
  CHECK_FALSE(s->complete());
  CHECK(s->accept(piece(3, "de")).code() == errc::ok);
  CHECK(s->accept(piece(5, "fg")).code() == errc::ok);
  CHECK(s->complete());
  CHECK(s->arrived == 7);
  CHECK(s->owed == 7);
  // Kept as they came.
  REQUIRE(s->held.blocks.size() == 3);
  CHECK(s->held.blocks[2].view() == "fg");
}

TEST_CASE("stream: a gap, a repetition, an overlap, bytes beyond the end and across parts break the protocol") {
  for (const auto& [offset, text] : {std::pair{4, "e"}, {0, "abc"}, {2, "cd"}, {3, "defgh"}, {3, ""}}) {
    CAPTURE(offset);
    CAPTURE(text);
    stream s(std::vector<std::uint64_t>{3, 4});
    REQUIRE(s.accept(piece(0, "abc")).code() == errc::ok);
    CHECK(s.accept(piece(static_cast<std::uint64_t>(offset), text)).code() == errc::protocol_error);
    // What was refused has left nothing behind.
    CHECK(s.arrived == 3);
    CHECK(s.owed == 3);
    CHECK(s.held.blocks.size() == 1);
  }
  stream across(std::vector<std::uint64_t>{3, 4});
  CHECK(across.accept(piece(0, "abcd")).code() == errc::protocol_error);
  CHECK(across.arrived == 0);
}

TEST_CASE("stream: a whole payload is complete at once, and shares its blocks") {
  payload whole;
  whole.body = bytes::from(std::string("body"));
  whole.blobs = {bytes::from(std::string("first")), bytes(), bytes::from(std::string("third"))};
  const auto s = make_stream(whole);
  CHECK(s->complete());
  CHECK(s->arrived == 14);
  CHECK(s->owed == 0);
  CHECK(s->held.lengths == std::vector<std::uint64_t>{4, 5, 0, 5});
  REQUIRE(s->held.blocks.size() == 3);  // none for what is empty
  CHECK(s->held.blocks[1].data() == whole.blobs[0].data());
  CHECK(s->accept(piece(14, "x")).code() == errc::protocol_error);
  CHECK(make_stream(payload())->complete());
}
