// SPDX-License-Identifier: BSL-1.0
#include "fuzz/one_frame.hpp"

// Each message by its number, between accepted peers: bounded memory, decodes to the same again. The input is the
// number, then id, extra and blob_bytes of the head, then the body; the bytes of the blocks behind it are made up.
bool fuzz::message(input in) {
  cursor from(in);
  wire::frame_header head;
  head.type = static_cast<std::uint8_t>(from.take<std::uint8_t>() % wire::message::size + 1);
  head.id = from.take<std::uint64_t>();
  head.extra = from.take<std::uint32_t>();
  head.blob_bytes = from.take<std::uint32_t>();
  const input body = from.rest();
  head.body = static_cast<std::uint32_t>(body.size());
  std::vector<std::byte> raw(wire::frame_header::size);
  wire::store(raw.data(), head);
  raw.insert(raw.end(), body.begin(), body.end());
  constexpr std::uint64_t most = 80u << 10;
  raw.insert(raw.end(), static_cast<std::size_t>(std::min(head.blob_bytes, most)), std::byte{0x5a});
  return round_trip(wire::side::connecting, true, raw);
}
