// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/data/detail/mix.hpp"

DTASK_BEGIN

/// A hash for a dataset's `fingerprint()`: of what it holds, or of what names it. Order counts.
///
///     return dtask::content_fingerprint().add(count).add(data.span()).value();
///
/// It tells whether data is the same, and is no defence against forgery. The same on every little-endian machine; some
/// 10 GB/s.
class content_fingerprint {
 public:
  /// Goes on with a number. Result: this, for the next part.
  content_fingerprint& add(std::uint64_t number) noexcept {
    value_ = detail::mix(value_, number);
    return *this;
  }
  /// Goes on with bytes and their number.
  content_fingerprint& add(std::span<const std::byte> data) noexcept {
    std::uint64_t lane[4] = {1, 2, 3, 4};
    std::size_t at = 0;
    for (; at + 32 <= data.size(); at += 32)
      for (std::size_t i = 0; i < 4; ++i) {
        std::uint64_t word;
        std::memcpy(&word, data.data() + at + 8 * i, 8);
        lane[i] = std::rotl((lane[i] ^ word) * detail::golden, 31);
      }
    for (const std::uint64_t l : lane) add(l);
    std::byte rest[32] = {};
    if (at < data.size()) std::memcpy(rest, data.data() + at, data.size() - at);
    for (std::size_t i = 0; i < 4; ++i) {
      std::uint64_t word;
      std::memcpy(&word, rest + 8 * i, 8);
      add(word);
    }
    return add(static_cast<std::uint64_t>(data.size()));
  }
  /// Goes on with a text's bytes and their number.
  content_fingerprint& add(std::string_view text) noexcept {
    return add(std::as_bytes(std::span(text.data(), text.size())));
  }
  std::uint64_t value() const noexcept { return value_; }  ///< of all that was added, in its order

 private:
  std::uint64_t value_ = 0;
};

DTASK_END
