// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/wire/detail/codec.hpp"
#include "dtask/wire/detail/fields.hpp"
#include "dtask/wire/frame.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace wire {

/// What waits to be written on one link: messages encoded into one contiguous buffer, with the large blocks spliced in
/// by reference.
///
/// Many small messages become one system call, and the bytes of a large block go from their owner to the socket without
/// a copy. Two buffers take turns: one grows while the other is written, so what `gather` returned stays valid until it
/// is consumed. Thread safety: none; it belongs to the link's thread.
class outbox {
 public:
  using slice = std::span<const std::byte>;

  /// Encodes a message behind those already queued. A message over the limits is not queued; the error (`too_large`)
  /// says which limit: its sender should have cut it or sent it in chunks. Throws std::bad_alloc; then it is not queued
  /// either.
  error push(message&& m, const limits& agreed) {
    batch& into = batches_[filling_];
    const std::size_t start = into.small.size(), splices = into.large.size();
    try {
      return encode(into, m, agreed);
    } catch (...) {
      into.cut(start, splices);  // half a frame would make nonsense of everything behind it
      throw;
    }
  }

  bool empty() const noexcept { return unsent_ == 0; }
  /// Bytes queued and not yet consumed.
  std::size_t unsent() const noexcept { return unsent_; }

  /// Fills `out` with the next bytes to write, at most about `most` of them, and returns how many slices it used. They
  /// stay valid until they are consumed, whatever is pushed meanwhile.
  std::size_t gather(std::span<slice> out, std::size_t most) {
    if (written_out()) {
      batches_[filling_ ^ 1].clear();
      small_done_ = large_index_ = large_done_ = 0;
      if (batches_[filling_].small.size() == 0) return 0;
      filling_ ^= 1;
    }
    const batch& from = batches_[filling_ ^ 1];
    std::size_t used = 0, total = 0, small = small_done_, index = large_index_, within = large_done_;
    while (used < out.size() && total < most) {
      const std::size_t stop = index < from.large.size() ? from.large[index].at : from.small.size();
      if (small < stop) {
        const std::size_t n = std::min(stop - small, most - total);
        out[used++] = {from.small.data() + small, n};
        small += n;
        total += n;
      } else if (index < from.large.size()) {
        const bytes& block = from.large[index].block;
        const std::size_t n = std::min(block.size() - within, most - total);
        out[used++] = {block.data() + within, n};
        within += n;
        total += n;
        if (within == block.size()) {
          ++index;
          within = 0;
        }
      } else {
        break;
      }
    }
    return used;
  }

  /// The first `count` bytes of what `gather` returned have been written. Blocks that are done are released.
  void consumed(std::size_t count) noexcept {
    unsent_ -= count;
    batch& from = batches_[filling_ ^ 1];
    while (count != 0) {
      const bool more = large_index_ < from.large.size();
      const std::size_t stop = more ? from.large[large_index_].at : from.small.size();
      if (small_done_ < stop) {
        const std::size_t n = std::min(count, stop - small_done_);
        small_done_ += n;
        count -= n;
      } else {
        bytes& block = from.large[large_index_].block;
        const std::size_t n = std::min(count, block.size() - large_done_);
        large_done_ += n;
        count -= n;
        if (large_done_ == block.size()) {
          block = bytes();
          ++large_index_;
          large_done_ = 0;
        }
      }
    }
  }

  /// Everything that is queued, as one run of bytes, and consumed at once: for a simulated network and for tests.
  std::vector<std::byte> take_all() {
    std::vector<std::byte> all;
    all.reserve(unsent_);
    std::array<slice, 16> slices;
    while (const std::size_t used = gather(slices, unsent_)) {
      std::size_t total = 0;
      for (const slice& s : std::span(slices).first(used)) {
        all.insert(all.end(), s.begin(), s.end());
        total += s.size();
      }
      consumed(total);
    }
    return all;
  }

  /// Drops everything.
  void clear() noexcept {
    batches_[0].clear();
    batches_[1].clear();
    small_done_ = large_index_ = large_done_ = unsent_ = 0;
  }

 private:
  struct batch {
    detail::append_buffer small;
    row<detail::splice> large;
    void cut(std::size_t bytes, std::size_t splices) noexcept {
      small.cut(bytes);
      large.cut(splices);
    }
    void clear() noexcept {
      small.clear();
      large.clear();
    }
  };
  error encode(batch& into, message& m, const limits& agreed) {
    const std::size_t start = into.small.size(), splices = into.large.size();
    into.small.grow(frame_header::size);
    detail::writer out(into.small, into.large);
    frame_header head;
    head.type = static_cast<std::uint8_t>(m.index() + 1);
    m.visit([&out](auto& body) { detail::fields(out, body); });
    const std::size_t body = into.small.size() - start - frame_header::size;
    const std::size_t most = head.type == type_of<hello> ? std::size_t{max_hello} : std::size_t{agreed.frame_body};
    if (out.overflow() || body > most || out.blob_bytes() > agreed.frame_blobs) {
      const std::size_t blob_bytes = static_cast<std::size_t>(out.blob_bytes());
      into.cut(start, splices);
      return error(errc::too_large, std::string(type_name(head.type)) + " message of " + std::to_string(body) + " + " +
                                        std::to_string(blob_bytes) + " bytes is over the frame limit of " +
                                        std::to_string(most) + " + " + std::to_string(agreed.frame_blobs));
    }
    for (std::size_t i = splices; i < into.large.size(); ++i)
      into.large[i].at = into.small.size();  // blocks follow the whole body
    head.body = static_cast<std::uint32_t>(body);
    head.id = out.id();
    head.extra = out.extra();
    head.blob_bytes = out.blob_bytes();
    store(into.small.data() + start, head);
    unsent_ += frame_header::size + body + static_cast<std::size_t>(out.blob_bytes());
    return {};
  }
  bool written_out() const noexcept {
    const batch& from = batches_[filling_ ^ 1];
    return small_done_ == from.small.size() && large_index_ == from.large.size();
  }

  std::array<batch, 2> batches_;
  std::size_t filling_ = 0;
  std::size_t small_done_ =
      0;  // of the batch being written: bytes of its small buffer, blocks, and bytes of the current block
  std::size_t large_index_ = 0;
  std::size_t large_done_ = 0;
  std::size_t unsent_ = 0;
};

}  // namespace wire
DTASK_END
