// SPDX-License-Identifier: BSL-1.0
#include "fuzz/one_frame.hpp"

// The hello of a stranger, everything behind the head of its frame: bounded memory, decodes to the same again, and
// nothing else may follow before it is accepted.
bool fuzz::hello(input in) {
  wire::frame_header head;
  head.type = wire::type_of<wire::hello>;
  head.body = static_cast<std::uint32_t>(in.size());
  std::vector<std::byte> raw(wire::frame_header::size);
  wire::store(raw.data(), head);
  raw.insert(raw.end(), in.begin(), in.end());
  if (!round_trip(wire::side::listening, false, raw)) return false;

  const auto early = test::encode(wire::message(wire::cancel{1}));
  raw.insert(raw.end(), early.begin(), early.end());
  wire::decoder stranger(wire::side::listening);
  std::size_t messages = 0;
  const dtask::error bad = stranger.feed(raw, [&](wire::message&&) { return ++messages, true; });
  require(messages == 1 && bad.code() == dtask::errc::protocol_error, "a stranger may do more than greet");
  return true;
}
