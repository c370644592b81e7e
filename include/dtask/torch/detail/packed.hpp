// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dtask/base/bytes.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/payload.hpp"

DTASK_BEGIN
namespace detail {

/// Where parts begin in a packed payload: what vector instructions and cache lines like.
inline constexpr std::size_t packed_alignment = 64;
inline std::size_t packed_place(std::size_t at) noexcept {
  return (at + packed_alignment - 1) / packed_alignment * packed_alignment;
}

/// A payload as one block, for a broadcast: count and lengths of its parts, then the parts.
inline bytes pack(const payload& from) {
  const std::size_t parts = 1 + from.blobs.size();
  std::size_t size = packed_place(8 * (1 + parts)) + from.body.size();
  for (const bytes& b : from.blobs) size = packed_place(size) + b.size();
  mutable_bytes out(size);
  std::size_t at = 0;
  const auto put = [&](std::uint64_t number) {
    std::memcpy(out.data() + at, &number, sizeof number);
    at += sizeof number;
  };
  const auto part = [&](const bytes& b) {
    const std::size_t place = packed_place(at);
    std::memset(out.data() + at, 0, place - at);
    if (!b.empty()) std::memcpy(out.data() + place, b.data(), b.size());
    at = place + b.size();
  };
  put(parts);
  put(from.body.size());
  for (const bytes& b : from.blobs) put(b.size());
  part(from.body);
  for (const bytes& b : from.blobs) part(b);
  return std::move(out).freeze();
}

/// The payload again, as slices of the block. Throws `error(errc::bad_data)` for one that is none.
inline payload unpack(const bytes& from) {
  const auto number = [&](std::size_t i) {
    std::uint64_t n = 0;
    std::memcpy(&n, from.data() + 8 * i, sizeof n);
    return n;
  };
  const auto refuse = [] { throw error(errc::bad_data, "a packed state whose parts do not fill it"); };
  if (from.size() < 16) refuse();
  const std::uint64_t parts = number(0);
  if (parts == 0 || parts > from.size() / 8 - 1) refuse();
  payload out;
  out.blobs.reserve(static_cast<std::size_t>(parts) - 1);
  std::size_t at = packed_place(8 * (1 + static_cast<std::size_t>(parts)));
  for (std::size_t i = 0; i < parts; ++i) {
    if (i != 0) at = packed_place(at);
    const std::uint64_t size = number(1 + i);
    if (at > from.size() || size > from.size() - at) refuse();
    bytes part = from.slice(at, static_cast<std::size_t>(size));
    if (i == 0)
      out.body = static_cast<bytes&&>(part);
    else
      out.blobs.push_back(static_cast<bytes&&>(part));
    at += static_cast<std::size_t>(size);
  }
  if (at != from.size()) refuse();
  return out;
}

}  // namespace detail
DTASK_END
