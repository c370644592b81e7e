// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/wire.hpp"
#include "fuzz/memory.hpp"
#include "fuzz/target.hpp"
#include "wire/random_message.hpp"

namespace fuzz {

namespace wire = dtask::wire;

/// Decoding takes at most this much.
constexpr std::size_t decoder_bound(std::size_t received) { return 4 * received + (std::size_t{64} << 10); }

/// The message in these bytes, if the decoder takes them for one.
inline std::optional<wire::message> decode_one(wire::side at, bool accepted, std::span<const std::byte> raw) {
  wire::decoder in(at);
  if (accepted) in.set_limits({});
  std::optional<wire::message> found;
  const dtask::error bad = in.feed(raw, [&](wire::message&& m) {
    require(!found, "one frame gives two messages");
    found = std::move(m);
    return true;
  });
  require(!bad || std::string_view(bad.what()).size() > 10, "a fault without a reason");
  return found;
}

/// Decodes one frame. Decoding stays within its bound; what it gives can be encoded, and decodes to the same again.
inline bool round_trip(wire::side at, bool accepted, std::span<const std::byte> raw) {
  std::optional<wire::message> first;
  const std::size_t peak = peak_of([&] { first = decode_one(at, accepted, raw); });
  require(peak <= decoder_bound(raw.size()), "decoding takes more than 4 x frame + 64 KiB");
  if (!first) return false;
  const std::size_t index = first->index();
  // Encoding takes a message apart, so it is decoded once more.
  const auto once = test::encode(*decode_one(at, accepted, raw));
  std::optional<wire::message> second = decode_one(at, accepted, once);
  require(second && second->index() == index, "an encoded message does not decode");
  // Long texts are cut when they are sent, and only they.
  require(once.size() <= raw.size(), "a message grows when it is encoded");
  const bool cut = once.size() < raw.size() && raw.size() > wire::max_brief;
  require(cut || test::same(*first, *second), "a message changes when it is encoded and decoded");
  require(test::encode(std::move(*second)) == once, "an encoded message decodes to another");
  return true;
}

}  // namespace fuzz
