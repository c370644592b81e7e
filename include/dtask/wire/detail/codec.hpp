// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/wire/frame.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace wire::detail {

/// Bytes that only grow at their end: no zero fill, memory kept for the next batch.
class append_buffer {
 public:
  append_buffer() = default;
  append_buffer(append_buffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  append_buffer& operator=(append_buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~append_buffer() { std::free(data_); }

  /// Room for `count` more bytes. Throws std::bad_alloc.
  std::byte* grow(std::size_t count) {
    if (count > capacity_ - size_) enlarge(count);
    std::byte* at = data_ + size_;
    size_ += count;
    return at;
  }
  void put(const void* from, std::size_t count) {
    if (count != 0) std::memcpy(grow(count), from, count);
  }
  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  void cut(std::size_t size) noexcept { size_ = size; }
  /// Empties it; a buffer that a burst made large gives its memory back.
  void clear() noexcept {
    size_ = 0;
    if (capacity_ > keep) {
      std::free(std::exchange(data_, nullptr));
      capacity_ = 0;
    }
  }

 private:
  static constexpr std::size_t keep = std::size_t{1} << 20;
  void enlarge(std::size_t count) {
    const std::size_t wanted = std::max({capacity_ * 2, size_ + count, std::size_t{4096}});
    void* moved = std::realloc(data_, wanted);
    if (moved == nullptr) throw std::bad_alloc();
    data_ = static_cast<std::byte*>(moved);
    capacity_ = wanted;
  }
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// A block between the bytes of an append buffer: it goes to the socket after the first `at` of them.
struct splice {
  std::size_t at;
  bytes block;
};

/// Writes the fields of one message behind its head.
class writer {
 public:
  writer(append_buffer& out, row<splice>& splices) : out_(out), splices_(splices) {}

  template <class Integer>
    requires std::is_integral_v<Integer>
  void operator()(Integer& value) {
    store_le(out_.grow(sizeof(Integer)), value);
  }
  void operator()(bool& value) { *out_.grow(1) = static_cast<std::byte>(value); }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void choice(Enum& value, Enum) {
    store_le(out_.grow(sizeof(Enum)), static_cast<std::underlying_type_t<Enum>>(value));
  }
  void operator()(duration& value) { store_le(out_.grow(8), std::int64_t{value.count()}); }
  void operator()(std::string& text) { put_text(text); }
  /// A text for people, cut to what a frame has room for.
  void text(std::string& value) { put_text(std::string_view(value).substr(0, max_text)); }
  /// The same where many of them share a frame.
  void brief(std::string& value) { put_text(std::string_view(value).substr(0, max_brief)); }
  void require(bool, const char*) {}
  void name(std::string& value) { put_text(value); }

  void id(std::uint64_t& value) { id_ = value; }
  void extra(std::uint32_t& value) { extra_ = value; }

  /// A list of elements that take at least `MinWire` bytes each.
  template <std::size_t MinWire, class T, class Each>
  void list(std::vector<T>& values, std::size_t, Each each) {
    count(values.size());
    for (T& value : values) each(*this, value);
  }

  void part(bytes& data) {
    count(data.size());
    content(data);
  }
  void operator()(carried& value) {
    std::uint8_t announced = value.transfer != 0;
    (*this)(announced);
    if (announced) {
      (*this)(value.transfer);
      count(value.lengths.size());
      for (std::uint64_t& length : value.lengths) (*this)(length);
      return;
    }
    payload& whole = value.whole;
    const bool nothing = whole.body.empty() && whole.blobs.empty();
    count(nothing ? 0 : 1 + whole.blobs.size());
    if (nothing) return;
    count(whole.body.size());
    for (const bytes& blob : whole.blobs) count(blob.size());
    content(whole.body);
    for (bytes& blob : whole.blobs) content(blob);
  }

  std::uint64_t id() const noexcept { return id_; }
  std::uint32_t extra() const noexcept { return extra_; }
  std::uint64_t blob_bytes() const noexcept { return blob_bytes_; }
  /// Whether a length did not fit into its field.
  bool overflow() const noexcept { return overflow_; }

 private:
  void put_text(std::string_view text) {
    count(text.size());
    out_.put(text.data(), text.size());
  }
  void count(std::size_t n) {
    if (n > std::numeric_limits<std::uint32_t>::max()) overflow_ = true;
    store_le(out_.grow(4), static_cast<std::uint32_t>(n));
  }
  void content(bytes& data) {
    if (data.size() > splice_over) {
      blob_bytes_ += data.size();
      splices_.push_back({0, std::move(data)});  // its place is known when the body ends
    } else {
      out_.put(data.data(), data.size());
    }
  }

  append_buffer& out_;
  row<splice>& splices_;
  std::uint64_t id_ = 0;
  std::uint64_t blob_bytes_ = 0;
  std::uint32_t extra_ = 0;
  bool overflow_ = false;
};

/// A part of a payload that follows the frame's body: its position in the message, and its length.
struct outside_part {
  std::uint32_t index;
  std::uint32_t size;
};

/// Reads the fields of one message from the body of its frame. After the first fault everything reads as zero and
/// `fault()` names the reason.
class reader {
 public:
  reader(const std::byte* from, std::size_t size, const frame_header& head, const limits& agreed,
         row<outside_part>& outside)
      : at_(from), end_(from + size), head_(head), limits_(agreed), outside_(outside) {
    outside_.clear();
  }

  template <class Integer>
    requires std::is_integral_v<Integer>
  void operator()(Integer& value) {
    value = take<Integer>();
  }
  void operator()(bool& value) {
    const auto raw = take<std::uint8_t>();
    if (raw > 1) fail("a flag is neither 0 nor 1");
    value = raw == 1;
  }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void choice(Enum& value, Enum last) {
    const auto raw = take<std::underlying_type_t<Enum>>();
    if (raw > static_cast<std::underlying_type_t<Enum>>(last)) return fail("a choice is out of range");
    value = static_cast<Enum>(raw);
  }
  void operator()(duration& value) {
    const auto raw = take<std::int64_t>();
    if (raw < 0) return fail("a duration is negative");
    value = duration(raw);
  }
  void operator()(std::string& text) {
    const std::uint32_t size = count(1);
    text.assign(reinterpret_cast<const char*>(at_), size);
    at_ += size;
  }
  void text(std::string& value) { (*this)(value); }
  void brief(std::string& value) { (*this)(value); }
  void require(bool holds, const char* why) {
    if (!holds) fail(why);
  }
  void name(std::string& value) {
    (*this)(value);
    if (value.empty()) fail("a name is empty");
  }

  void id(std::uint64_t& value) { value = head_.id; }
  void extra(std::uint32_t& value) { value = head_.extra; }

  template <std::size_t MinWire, class T, class Each>
  void list(std::vector<T>& values, std::size_t most, Each each) {
    const std::uint32_t n = count(MinWire);
    if (n > most) return fail("a list is longer than its limit");
    values.reserve(n);
    for (std::uint32_t i = 0; i < n && !fault_; ++i) each(*this, values.emplace_back());
  }

  void part(bytes& data) {
    const auto size = take<std::uint32_t>();
    if (size > splice_over) return announce_outside(0, size);
    if (size > left()) return fail("its data is longer than the frame");
    data = bytes::copy(at_, size);
    at_ += size;
  }
  void operator()(carried& value) {
    const auto announced = take<std::uint8_t>();
    if (announced > 1) return fail("a payload is neither whole nor announced");
    if (announced) return read_announced(value);
    const std::uint32_t parts = count(4);
    if (parts == 0) return;
    if (parts - 1 > limits_.blobs) return fail("a payload has more blocks than the limit");
    if (parts - 1 > blobs_in_frame) return fail("a payload has more blocks than fit in a frame");
    // The bytes of all parts that lie in the body get one block together: one allocation, and nothing of the receive
    // buffer stays pinned.
    const std::byte* const table = at_;
    at_ += std::size_t{4} * parts;
    std::size_t inside = 0;
    for (std::uint32_t i = 0; i < parts; ++i) {
      const auto size = load_le<std::uint32_t>(table + std::size_t{4} * i);
      if (size <= splice_over) inside += size;
    }
    if (inside > left()) return fail("its data is longer than the frame");
    const bytes block = bytes::copy(at_, inside);
    at_ += inside;
    value.whole.blobs.resize(parts - 1);
    std::size_t used = 0;
    for (std::uint32_t i = 0; i < parts && !fault_; ++i) {
      const auto size = load_le<std::uint32_t>(table + std::size_t{4} * i);
      if (size > splice_over) {
        announce_outside(i, size);
      } else if (size != 0) {
        (i == 0 ? value.whole.body : value.whole.blobs[i - 1]) = block.slice(used, size);
        used += size;
      }
    }
  }

  /// Call after the last field. Checks that the body was used up and that the parts outside are those that the head
  /// announces.
  void finish() {
    if (at_ != end_) fail("the frame is longer than its message");
    if (outside_bytes_ != head_.blob_bytes) fail(lengths_differ);
  }
  void fail(const char* why) noexcept {
    if (fault_ == nullptr) fault_ = why;
    at_ = end_;
  }
  const char* fault() const noexcept { return fault_; }

 private:
  static constexpr const char* lengths_differ =
      "the lengths of its blocks do not add up to those announced in the head";
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  template <class Integer>
  Integer take() noexcept {
    if (left() < sizeof(Integer)) {
      fail("the frame is shorter than its message");
      return 0;
    }
    const auto value = load_le<Integer>(at_);
    at_ += sizeof(Integer);
    return value;
  }
  /// A count of elements of at least `wire_size` bytes: never more than what is left can hold.
  std::uint32_t count(std::size_t wire_size) noexcept {
    const auto n = take<std::uint32_t>();
    if (n > left() / wire_size) {
      fail("a count is larger than the rest of the frame");
      return 0;
    }
    return n;
  }
  void announce_outside(std::uint32_t index, std::uint32_t size) {
    outside_bytes_ += size;
    // At once, before lengths that lie fill the list.
    if (outside_bytes_ > head_.blob_bytes) return fail(lengths_differ);
    outside_.push_back({index, size});
  }
  void read_announced(carried& value) {
    (*this)(value.transfer);
    if (value.transfer == 0) return fail("an announced payload has no number");
    const std::uint32_t parts = count(8);
    if (parts == 0 || parts - 1 > limits_.blobs)
      return fail("an announced payload has no part, or more blocks than the limit");
    value.lengths.resize(parts);
    std::uint64_t total = 0;
    for (std::uint64_t& length : value.lengths) {
      length = take<std::uint64_t>();
      if (length > limits_.payload - total) return fail("an announced payload is over the limit");
      total += length;
    }
  }

  const std::byte* at_;
  const std::byte* end_;
  const frame_header& head_;
  const limits& limits_;
  row<outside_part>& outside_;
  std::uint64_t outside_bytes_ = 0;
  const char* fault_ = nullptr;
};

}  // namespace wire::detail
DTASK_END
