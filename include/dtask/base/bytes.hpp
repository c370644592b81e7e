// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/block_pool.hpp"
#include "dtask/base/config.hpp"

DTASK_BEGIN

/// An immutable run of bytes that shares ownership of where they live: a heap block, a pool block, a file mapping, the
/// storage of a tensor.
///
/// Copying costs a reference count, slicing never copies. As a job's argument or result it travels out of band: the
/// bytes go from their owner to the socket and from the socket into their final storage without passing through the
/// archive. Thread safety: like `std::shared_ptr<const T>`; the bytes themselves must not change while any `bytes`
/// refers to them.
class bytes {
 public:
  /// None.
  bytes() = default;

  /// Takes a view of `size` bytes at `data` that stays valid for as long as `owner` lives.
  bytes(std::shared_ptr<const void> owner, const std::byte* data, std::size_t size) noexcept
      : owner_(std::move(owner)), data_(data), size_(size) {}

  /// Copies `size` bytes at `data` into a block of their own. Throws std::bad_alloc.
  static bytes copy(const void* data, std::size_t size);
  /// The same of a span.
  static bytes copy(std::span<const std::byte> from) { return copy(from.data(), from.size()); }
  /// The same of a text.
  static bytes copy(std::string_view from) { return copy(from.data(), from.size()); }

  /// Takes over a vector or a string without copying its elements.
  template <class Byte>
    requires(sizeof(Byte) == 1)
  static bytes from(std::vector<Byte> elements) {
    auto block = std::make_shared<const std::vector<Byte>>(std::move(elements));
    const auto* at = reinterpret_cast<const std::byte*>(block->data());
    const std::size_t size = block->size();
    return bytes(std::move(block), at, size);
  }
  /// The same of a string.
  static bytes from(std::string text) {
    auto block = std::make_shared<const std::string>(std::move(text));
    const auto* at = reinterpret_cast<const std::byte*>(block->data());
    const std::size_t size = block->size();
    return bytes(std::move(block), at, size);
  }

  /// The first byte, valid for as long as somebody owns the bytes; may be null where there are none.
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }              ///< how many bytes
  bool empty() const noexcept { return size_ == 0; }               ///< whether there are none
  const std::byte* begin() const noexcept { return data_; }        ///< for loops: the first byte
  const std::byte* end() const noexcept { return data_ + size_; }  ///< for loops: behind the last byte
  /// The byte at `i`, which is less than `size()`.
  std::byte operator[](std::size_t i) const noexcept { return data_[i]; }
  /// The bytes as a span, which does not keep them alive.
  std::span<const std::byte> span() const noexcept { return {data_, size_}; }
  /// The bytes as text, which does not keep them alive.
  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }

  /// A part of these bytes with the same owner. `offset` and `count` are clamped to what is there.
  bytes slice(std::size_t offset, std::size_t count = static_cast<std::size_t>(-1)) const {
    offset = offset < size_ ? offset : size_;
    count = count < size_ - offset ? count : size_ - offset;
    return bytes(owner_, data_ + offset, count);
  }

  /// What keeps the bytes alive; null where there are none to keep.
  const std::shared_ptr<const void>& owner() const noexcept { return owner_; }

  /// Equal contents, whoever owns them.
  friend bool operator==(const bytes& a, const bytes& b) noexcept {
    return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
  }

 private:
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A block that is filled once, never zeroed first, and then becomes `bytes`. Move-only.
class mutable_bytes {
 public:
  /// None.
  mutable_bytes() = default;
  /// `size` uninitialised bytes: a block of `pool`, or below `block_pool::smallest` an allocation of their own. Throws
  /// std::bad_alloc.
  explicit mutable_bytes(std::size_t size, block_pool& pool = block_pool::shared()) : size_(size) {
    if (size >= block_pool::smallest) {
      owner_ = pool.take(size);
      data_ = static_cast<std::byte*>(owner_.get());
    } else if (size != 0) {
      block_ = std::make_shared_for_overwrite<std::byte[]>(size);
      data_ = block_.get();
    }
  }
  /// Uses storage that `owner` keeps alive: a pool block or a tensor's memory.
  mutable_bytes(std::shared_ptr<void> owner, std::byte* data, std::size_t size) noexcept
      : owner_(std::move(owner)), data_(data), size_(size) {}
  /// Takes the block over. What is moved from is assigned to or destroyed, and not used otherwise.
  mutable_bytes(mutable_bytes&&) noexcept = default;
  /// The same; the block that was here is let go.
  mutable_bytes& operator=(mutable_bytes&&) noexcept = default;

  /// The first byte, to be written; null where there are none.
  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }  ///< the same, to be read
  std::size_t size() const noexcept { return size_; }       ///< how many bytes
  bool empty() const noexcept { return size_ == 0; }        ///< whether there are none
  /// The bytes as a span, valid while this owns them.
  std::span<std::byte> span() noexcept { return {data_, size_}; }

  /// Ends the filling: the first `count` bytes, immutable from now on.
  bytes freeze(std::size_t count = static_cast<std::size_t>(-1)) && {
    count = count < size_ ? count : size_;
    std::shared_ptr<const void> owner =
        owner_ ? std::shared_ptr<const void>(std::move(owner_)) : std::shared_ptr<const void>(std::move(block_));
    return bytes(std::move(owner), std::exchange(data_, nullptr), count);
  }

 private:
  std::shared_ptr<std::byte[]> block_;
  std::shared_ptr<void> owner_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

inline bytes bytes::copy(const void* data, std::size_t size) {
  mutable_bytes block(size);
  if (size != 0) std::memcpy(block.data(), data, size);
  return std::move(block).freeze();
}

DTASK_END
