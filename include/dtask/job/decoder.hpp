// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
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
  /// Reads `from`, which outlives this. `limits`: how deep a value may be nested.
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
  /// Reads a number or a bool, as `encoder::put` wrote it.
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

  /// The elements of a string or of numbers of `each` bytes, wherever they stand, valid as long as the payload.
  /// `heap(n)`: what n of them take in memory. That is charged where they stand in the body; out of band the block
  /// itself pays for its copy, since it is named once.
  template <class Heap>
  std::span<const std::byte> elements(std::size_t each, Heap heap) {
    const auto word = get<std::uint64_t>();
    const std::uint64_t n = word & ~encoder::out_of_band;
    if ((word & encoder::out_of_band) == 0) {
      if (n > left() / each) fail("a count larger than the rest of the value");
      charge(heap(n));
      const std::span<const std::byte> found(at_, static_cast<std::size_t>(n) * each);
      at_ += found.size();
      return found;
    }
    const bytes& blob = next_blob();
    if (blob.size() % each != 0 || blob.size() / each != n)
      fail("an out-of-band block that does not hold as many elements as announced");
    ++next_blob_;
    return blob.span();
  }

  /// A block written by `encoder::block`: shares the received memory, copies nothing, unless it is a large one for
  /// which there was no place out of band. Above `inline_bytes` it is aligned as `new` aligns, at least.
  bytes block() {
    const auto word = get<std::uint64_t>();
    const std::uint64_t size = word & ~encoder::out_of_band;
    if ((word & encoder::out_of_band) == 0) {
      if (size > left()) fail("a block longer than the rest of the value");
      const auto offset = static_cast<std::size_t>(at_ - from_->body.data());
      if (size > inline_bytes) charge(size);
      at_ += size;
      const bytes inside = from_->body.slice(offset, static_cast<std::size_t>(size));
      return size > inline_bytes ? bytes::copy(inside.span()) : inside;
    }
    const bytes& blob = next_blob();
    if (blob.size() != size) fail("an out-of-band block of another size than announced");
    ++next_blob_;
    return blob;
  }

  /// Accounts for `size` bytes about to be allocated; the encoder's `charge` must have said the same.
  void charge(std::uint64_t size) {
    if (size > budget_) fail("more memory needed than the size of the value justifies");
    budget_ -= size;
  }
  /// Enters one level of nesting; `leave` ends it.
  void enter() {
    if (++depth_ > limits_.depth) fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
  }
  /// Ends the level that `enter` began.
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
  const bytes& next_blob() const {
    if (next_blob_ == from_->blobs.size()) fail("an out-of-band block that was not sent");
    return from_->blobs[next_blob_];
  }

  const payload* from_;
  const std::byte* at_;
  const std::byte* end_;
  std::uint64_t budget_;
  std::size_t next_blob_ = 0;
  std::uint32_t depth_ = 0;
  codec_limits limits_;
};

DTASK_END
