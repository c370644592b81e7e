// SPDX-License-Identifier: BSL-1.0
#include "dtask/wire/frame.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

namespace wire = dtask::wire;
using namespace std::string_view_literals;

TEST_CASE("the head of a frame is 32 little-endian bytes") {
  wire::frame_header h;
  h.type = 3;
  h.body = 0x01020304;
  h.id = 0x1112131415161718;
  h.blob_bytes = 0x2122232425262728;
  h.extra = 0x31323334;
  h.flags = 0x41424344;
  std::array<std::byte, wire::frame_header::size> raw{};
  wire::store(raw.data(), h);
  const std::string_view text(reinterpret_cast<const char*>(raw.data()), raw.size());
  CHECK(text ==
        "DT\x03\x03\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11"
        "\x28\x27\x26\x25\x24\x23\x22\x21\x34\x33\x32\x31\x44\x43\x42\x41"sv);
  const wire::frame_header back = wire::load_header(raw.data());
  CHECK(back.version == 3);
  CHECK(back.type == 3);
  CHECK(back.body == h.body);
  CHECK(back.id == h.id);
  CHECK(back.blob_bytes == h.blob_bytes);
  CHECK(back.extra == h.extra);
  CHECK(back.flags == h.flags);
}

TEST_CASE("the first four bytes tell a dtask peer from others") {
  CHECK_FALSE(wire::check_opening("DT\x03\x01"sv));
  const dtask::error version = wire::check_opening("DT\x07\x01"sv);
  CHECK(version.code() == dtask::errc::version_mismatch);
  CHECK(version.cause() == "the peer speaks version 7 of the dtask protocol, this side version 3");
  const dtask::error http = wire::check_opening("GET / HTTP/1.1\r\n"sv);
  CHECK(http.code() == dtask::errc::protocol_error);
  CHECK(http.cause() == "not a dtask peer: its first bytes are \"GET / HTTP/1.1\\x0d\\n\"; it looks like HTTP");
  CHECK(wire::check_opening("DELETE /x"sv).cause().ends_with("it looks like HTTP"));
  CHECK(wire::check_opening("\x16\x03\x01\x02"sv).cause().ends_with("it looks like TLS"));
  CHECK(wire::check_opening("SSH-2.0"sv).cause().ends_with("it looks like SSH"));
  CHECK(wire::check_opening("\xff\0\0\0"sv).cause() ==
        "not a dtask peer: its first bytes are \"\\xff\\x00\\x00\\x00\"");
}

TEST_CASE("every message has a name and a stable number") {
  CHECK(wire::type_of<wire::hello> == 1);
  CHECK(wire::type_of<wire::chunk> == 7);
  CHECK(wire::type_of<wire::submit> == 10);
  CHECK(wire::type_of<wire::run> == 17);
  CHECK(wire::type_of<wire::done> == 22);
  CHECK(wire::type_of<wire::known_calls> == 30);
  CHECK(wire::type_name(wire::type_of<wire::run>) == "run");
  CHECK(wire::type_name(wire::type_of<wire::known_calls>) == "known_calls");
  CHECK(wire::type_of<wire::fetch_failed> == 33);
  CHECK(wire::type_name(wire::type_of<wire::fetch>) == "fetch");
  CHECK(wire::type_name(0) == "unknown");
  CHECK(wire::type_name(200) == "unknown");
}

TEST_CASE("the payload in a message is found whatever its field is called") {
  wire::message m = wire::submit{};
  CHECK(wire::carried_in(m) == &m.get_if<wire::submit>()->arguments);
  m = wire::blob{};
  CHECK(wire::carried_in(m) == &m.get_if<wire::blob>()->value);
  m = wire::ping{};
  CHECK(wire::carried_in(m) == nullptr);
}
