// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace wire {

/// The fixed head of every frame: 32 bytes, little endian, no padding. Its layout is the same in every version of the
/// protocol.
///
/// | bytes  | field      |                                                                                          |
/// |--------|------------|------------------------------------------------------------------------------------------|
/// | 0-1    | magic      | `D`, `T`                                                                                 |
/// | 2      | version    | `protocol_version` of the sender                                                         |
/// | 3      | type       | position of the message in `wire::message`, plus one                                     |
/// | 4-7    | body       | bytes of the body, which follows the head                                                |
/// | 8-15   | id         | the call, job, transfer, request or amount that the message is about                     |
/// | 16-23  | blob_bytes | bytes out of band, which follow the body                                                 |
/// | 24-27  | extra      | fence or job position                                                                    |
/// | 28-31  | flags      | 0; a peer that sets one that this version does not know breaks the protocol              |
struct frame_header {
  static constexpr std::size_t size = 32;
  static constexpr std::array<unsigned char, 2> magic{'D', 'T'};

  std::uint8_t version = static_cast<std::uint8_t>(protocol_version);
  std::uint8_t type = 0;
  std::uint32_t body = 0;
  std::uint64_t id = 0;
  std::uint64_t blob_bytes = 0;
  std::uint32_t extra = 0;
  std::uint32_t flags = 0;
};

/// Parts of a payload longer than this travel out of band, after the frame's body; shorter ones inside it. A rule of
/// the protocol: the receiver tells by the length.
inline constexpr std::size_t splice_over = std::size_t{16} << 10;
/// A payload of more blocks than this is announced and sent in chunks: a block costs 4 bytes of a frame's body and,
/// once decoded, eight times as many. A rule of the protocol.
inline constexpr std::uint32_t blobs_in_frame = 1024;
/// Bytes of a frame's body that `fits_in_frame` leaves for the message around the payload. The texts of a `failure` are
/// cut so that they stay within it.
inline constexpr std::size_t frame_reserve = std::size_t{64} << 10;
/// Each text of a `failure` is cut to this many bytes when it is sent.
inline constexpr std::size_t max_text = std::size_t{12} << 10;
/// The same for texts of which many share a frame, such as the signatures of jobs in a hello.
inline constexpr std::size_t max_brief = 512;

namespace detail {
template <class Integer>
constexpr void store_le(std::byte* to, Integer value) noexcept {
  using U = std::make_unsigned_t<Integer>;
  const auto bits = static_cast<U>(value);
  for (std::size_t i = 0; i < sizeof(U); ++i) to[i] = static_cast<std::byte>((bits >> (8 * i)) & 0xff);
}
template <class Integer>
constexpr Integer load_le(const std::byte* from) noexcept {
  using U = std::make_unsigned_t<Integer>;
  U bits = 0;
  for (std::size_t i = 0; i < sizeof(U); ++i)
    bits = static_cast<U>(bits | static_cast<U>(static_cast<U>(from[i]) << (8 * i)));
  return static_cast<Integer>(bits);
}
}  // namespace detail

/// Writes the head to the `frame_header::size` bytes at `to`.
inline void store(std::byte* to, const frame_header& h) noexcept {
  to[0] = static_cast<std::byte>(frame_header::magic[0]);
  to[1] = static_cast<std::byte>(frame_header::magic[1]);
  to[2] = static_cast<std::byte>(h.version);
  to[3] = static_cast<std::byte>(h.type);
  detail::store_le(to + 4, h.body);
  detail::store_le(to + 8, h.id);
  detail::store_le(to + 16, h.blob_bytes);
  detail::store_le(to + 24, h.extra);
  detail::store_le(to + 28, h.flags);
}

/// Reads a head from `frame_header::size` bytes. The magic is not looked at: `check_opening` does that, on fewer bytes.
inline frame_header load_header(const std::byte* from) noexcept {
  frame_header h;
  h.version = static_cast<std::uint8_t>(from[2]);
  h.type = static_cast<std::uint8_t>(from[3]);
  h.body = detail::load_le<std::uint32_t>(from + 4);
  h.id = detail::load_le<std::uint64_t>(from + 8);
  h.blob_bytes = detail::load_le<std::uint64_t>(from + 16);
  h.extra = detail::load_le<std::uint32_t>(from + 24);
  h.flags = detail::load_le<std::uint32_t>(from + 28);
  return h;
}

/// The bytes of a frame that `check_opening` needs.
inline constexpr std::size_t opening_size = 4;

/// Whether these first bytes of a frame (at least `opening_size`) are those of a dtask peer that speaks this version:
/// `ok`, `protocol_error` with a guess at what the peer is, or `version_mismatch` with both versions.
inline error check_opening(std::string_view first) {
  using namespace std::string_view_literals;
  if (static_cast<unsigned char>(first[0]) == frame_header::magic[0] &&
      static_cast<unsigned char>(first[1]) == frame_header::magic[1]) {
    const auto version = static_cast<unsigned char>(first[2]);
    if (version == protocol_version) return {};
    return error(errc::version_mismatch,
                 "the peer speaks version " + std::to_string(version) + " of the dtask protocol, this side version " +
                     std::to_string(protocol_version),
                 {}, "build both programs against the same version of dtask");
  }
  std::string_view guess;
  for (const std::string_view verb :
       {"GET "sv, "POST"sv, "PUT "sv, "HEAD"sv, "OPTI"sv, "DELE"sv, "PATC"sv, "CONN"sv, "HTTP"sv, "PRI "sv})
    if (first.starts_with(verb)) guess = "; it looks like HTTP"sv;
  if (first.starts_with("\x16\x03"sv)) guess = "; it looks like TLS"sv;
  if (first.starts_with("SSH-"sv)) guess = "; it looks like SSH"sv;
  return error(errc::protocol_error,
               "not a dtask peer: its first bytes are \"" + escaped(first.substr(0, 16)) + "\"" + std::string(guess),
               {}, "connect only dtask programs to this port");
}

/// The name of a message type, for errors and logs; `type` is the one in the frame's head.
constexpr std::string_view type_name(std::uint8_t type) noexcept {
  constexpr std::string_view names[] = {
      "hello",          "welcome",        "refuse", "goodbye",   "ping",        "pong",     "chunk",
      "abort_transfer", "credit",         "submit", "cancel",    "result",      "state",    "acknowledge",
      "broadcast",      "broadcast_done", "run",    "stop",      "recall",      "returned", "started",
      "done",           "slots",          "blob",   "blob_done", "end_session", "drain",    "status_query",
      "status_report",  "known_calls",    "usage",  "fetch",     "fetch_failed"};
  static_assert(std::size(names) == message::size);
  return type >= 1 && type <= std::size(names) ? names[type - 1] : "unknown";
}

/// The type in the head of a message's frame.
template <class Message>
inline constexpr std::uint8_t type_of = static_cast<std::uint8_t>(message::index_of<Message> + 1);

/// The payload that a message carries, or nullptr for a message without one (a `chunk` has bytes, not a payload).
inline carried* carried_in(message& m) noexcept {
  carried* found = nullptr;
  m.visit([&found](auto& x) {
    if constexpr (requires { x.arguments; })
      found = &x.arguments;
    else if constexpr (requires { x.value; })
      found = &x.value;
  });
  return found;
}

}  // namespace wire
DTASK_END
