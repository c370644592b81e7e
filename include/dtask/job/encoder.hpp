// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/payload.hpp"

DTASK_BEGIN

/// What one encoded value may be. Encoding fails where decoding would, so that a mistake shows on the side that made
/// it.
struct codec_limits {
  std::uint64_t payload = std::uint64_t{8} << 30;  ///< bytes of body and blobs together
  std::uint32_t blobs = 1024;                      ///< out-of-band blocks
  std::uint32_t depth = 256;                       ///< nesting of containers and structures
};

/// Blocks above this size travel out of band.
inline constexpr std::size_t inline_bytes = 16u << 10;

namespace detail {
/// Decoding may allocate at most this much for a body: with the received frame itself that stays within 4 x frame + 64
/// KiB.
constexpr std::uint64_t decode_budget(std::uint64_t body) noexcept { return 3 * body + (48u << 10); }
}  // namespace detail

/// Writes one value into a `payload`: little endian, no names, no padding, big blocks out of band.
///
/// Used through `encode`; a `codec<T>` of one's own and types with a cereal `serialize` meet it directly. Errors:
/// throws `error` with `errc::too_large` or `errc::encode_failed`. Not thread-safe; one value per encoder.
class encoder {
 public:
  /// `limits`: what the value may be.
  explicit encoder(const codec_limits& limits = {}) noexcept : limits_(limits) {}
  encoder(const encoder&) = delete;
  encoder& operator=(const encoder&) = delete;

  /// Appends `size` raw bytes.
  void put(const void* data, std::size_t size) {
    if (size > capacity_ - size_) grow(size);
    if (size != 0) std::memcpy(data_ + size_, data, size);
    size_ += size;
  }
  /// Appends a number, a bool or an enumerator in little endian.
  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void put(T value) {
    static_assert(std::endian::native == std::endian::little,
                  "dtask: the codec writes little endian and has not been ported to big-endian machines yet");
    put(&value, sizeof value);
  }

  /// Appends a block: within the body up to `inline_bytes`, above that out of band, where its owner is shared and
  /// nothing is copied. Where strings and numbers have taken its place among the blocks, it stays within the body: a
  /// value that has few enough blocks travels, whatever else is in it.
  void block(const bytes& data) {
    const bool small = data.size() <= inline_bytes;
    if (!small && out_.blobs.size() < limits_.blobs) {
      put(static_cast<std::uint64_t>(data.size()) | out_of_band);
      add_outside(data.size());
      out_.blobs.push_back(data);
      return;
    }
    if (!small) {
      if (lent_ == 0)
        throw error(errc::too_large, "more than " + std::to_string(limits_.blobs) + " out-of-band blocks in one value",
                    {}, "join them into fewer blocks");
      charge(data.size());
    }
    put(static_cast<std::uint64_t>(data.size()));
    put(data.data(), data.size());
  }

  /// Appends the count of a string or a vector of numbers whose elements take `size` bytes together, and sends these
  /// out of band, as the `bytes` that `lend()` gives, if they are more than `inline_bytes` and strings and numbers have
  /// not taken half of the blocks yet. Otherwise does nothing and gives false: count and elements go into the body.
  template <class Lend>
  bool elements(std::uint64_t count, std::uint64_t size, Lend lend) {
    if (size <= inline_bytes || lent_ == limits_.blobs / 2 || out_.blobs.size() == limits_.blobs) return false;
    put(count | out_of_band);
    add_outside(size);
    out_.blobs.push_back(lend());
    ++lent_;
    return true;
  }

  /// Says that decoding what was just written will allocate `size` bytes. Where the sum exceeds what the size of the
  /// body justifies, the body is padded, so that the receiver's check (at most 4 x frame + 64 KiB) never refuses an
  /// honest value.
  void charge(std::uint64_t size) noexcept { charged_ += size; }

  /// Enters one level of nesting; `leave` ends it.
  void enter() {
    if (++depth_ > limits_.depth)
      throw error(errc::encode_failed, "a value nested deeper than " + std::to_string(limits_.depth) + " levels", {},
                  "flatten it");
  }
  /// Ends the level that `enter` began.
  void leave() noexcept { --depth_; }

  /// Bytes of the body so far.
  std::size_t size() const noexcept { return size_; }

  /// Ends the value.
  payload finish() && {
    while (detail::decode_budget(size_) < charged_) pad();
    check_total();
    if (data_ == inline_) {
      // It is never more, which g++ 12 wants to hear.
      out_.body = bytes::copy(inline_, size_ < sizeof inline_ ? size_ : sizeof inline_);
    } else {
      const std::byte* at = data_;
      out_.body = bytes(std::move(block_), at, size_);
    }
    return std::move(out_);
  }

  /// The length word of a block, or the count of elements, carries this bit when its bytes are the next block out of
  /// band.
  static constexpr std::uint64_t out_of_band = std::uint64_t{1} << 63;

  /// For the cereal archives of detail/: the one in use for this value.
  void* archive = nullptr;

 private:
  void pad() {
    static constexpr std::byte zeros[1024] = {};
    const std::uint64_t missing = (charged_ - detail::decode_budget(size_) + 2) / 3;
    put(zeros, missing < sizeof zeros ? static_cast<std::size_t>(missing) : sizeof zeros);
  }
  void add_outside(std::uint64_t size) {
    blob_bytes_ += size;
    check_total();
  }
  void check_total() const {
    if (size_ + blob_bytes_ > limits_.payload)
      throw error(
          errc::too_large, "a value of more than " + std::to_string(limits_.payload) + " bytes", {},
          "split it, or raise --payload-bytes of coordinator and worker (limits.payload in the options of all)");
  }
  void grow(std::size_t more) {
    if (more > limits_.payload || size_ + more > limits_.payload) {
      size_ += more;
      check_total();
    }
    std::size_t wanted = capacity_ * 2;
    if (wanted < size_ + more) wanted = size_ + more;
    auto bigger = std::make_shared_for_overwrite<std::byte[]>(wanted);
    std::memcpy(bigger.get(), data_, size_);
    block_ = std::move(bigger);
    data_ = block_.get();
    capacity_ = wanted;
  }

  std::byte* data_ = inline_;
  std::size_t size_ = 0;
  std::size_t capacity_ = sizeof inline_;
  std::uint64_t charged_ = 0;
  std::uint64_t blob_bytes_ = 0;
  std::uint32_t depth_ = 0;
  std::uint32_t lent_ = 0;  // blocks taken by strings and numbers
  codec_limits limits_;
  payload out_;
  std::shared_ptr<std::byte[]> block_;
  std::byte inline_[256];
};

DTASK_END
