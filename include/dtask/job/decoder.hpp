// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/job/encoder.hpp"

DTASK_BEGIN

/// Reads one value from a `payload` that comes from a peer which is not trusted.
///
/// Every count is checked against the bytes that remain before anything is allocated, nesting is capped, and all
/// allocation together is held to 3 x body + 48 KiB (with the received body itself: 4 x frame + 64 KiB). Errors: throws
/// `error` with `errc::decode_failed` that names the offset. Not thread-safe.
class decoder {
 public:
  explicit decoder(const payload& from, const codec_limits& limits = {}) noexcept
      : from_(&from),
        at_(from.body.data()),
        end_(from.body.data() + from.body.size()),
        budget_(detail::decode_budget(from.body.size())),
        limits_(limits) {}
  decoder(const decoder&) = delete;
  decoder& operator=(const decoder&) = delete;

  /// Bytes of the body not yet read.
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  /// Reads `size` raw bytes.
  void get(void* to, std::size_t size) {
    if (size > left()) fail("the value is truncated");
    if (size != 0) std::memcpy(to, at_, size);
    at_ += size;
  }
  template <class T>
    requires(std::is_arithmetic_v<T>)
  T get() {
    if constexpr (std::is_same_v<T, bool>) {
      const auto byte = get<unsigned char>();
      if (byte > 1) fail("a bool that is neither 0 nor 1");
      return byte != 0;
    } else {
      T value;
      get(&value, sizeof value);
      return value;
    }
  }

  /// Reads the count of a container whose elements take at least `wire_size` bytes each in the body and `heap_size`
  /// bytes each once decoded.
  std::size_t count(std::size_t wire_size, std::size_t heap_size) {
    const auto n = get<std::uint64_t>();
    if (n > left() / wire_size) fail("a count larger than the rest of the value");
    if (heap_size != 0 && n > budget_ / heap_size) fail("more memory needed than the size of the value justifies");
    charge(n * heap_size);
    return static_cast<std::size_t>(n);
  }

  /// A block written by `encoder::block`: shares the received memory, copies nothing.
  bytes block() {
    const auto word = get<std::uint64_t>();
    const std::uint64_t size = word & ~encoder::out_of_band;
    if ((word & encoder::out_of_band) == 0) {
      if (size > left()) fail("a block longer than the rest of the value");
      const auto offset = static_cast<std::size_t>(at_ - from_->body.data());
      at_ += size;
      return from_->body.slice(offset, static_cast<std::size_t>(size));
    }
    if (next_blob_ == from_->blobs.size()) fail("an out-of-band block that was not sent");
    const bytes& blob = from_->blobs[next_blob_];
    if (blob.size() != size) fail("an out-of-band block of another size than announced");
    ++next_blob_;
    return blob;
  }

  /// Accounts for `size` bytes about to be allocated; the encoder's `charge` must have said the same.
  void charge(std::uint64_t size) {
    if (size > budget_) fail("more memory needed than the size of the value justifies");
    budget_ -= size;
  }
  void enter() {
    if (++depth_ > limits_.depth) fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
  }
  void leave() noexcept { --depth_; }

  /// Ends the value: what follows may only be the encoder's padding.
  void finish() {
    if (next_blob_ != from_->blobs.size()) fail("out-of-band blocks that the value does not name");
    if (std::any_of(at_, end_, [](std::byte b) { return b != std::byte{0}; })) fail("bytes after the end of the value");
  }

  /// Throws `errc::decode_failed` with what is wrong and where.
  [[noreturn]] void fail(const std::string& what) const {
    const auto offset = from_->body.size() - left();
    throw error(
        errc::decode_failed, what, "byte " + std::to_string(offset) + " of " + std::to_string(from_->body.size()),
        "the sender is broken, or its types have the same schema but another meaning: give the job a new version");
  }

  /// For the cereal archives of detail/: the one in use for this value.
  void* archive = nullptr;

 private:
  const payload* from_;
  const std::byte* at_;
  const std::byte* end_;
  std::uint64_t budget_;
  std::size_t next_blob_ = 0;
  std::uint32_t depth_ = 0;
  codec_limits limits_;
};

DTASK_END
