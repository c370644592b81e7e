// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dtask/base/block_pool.hpp"
#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/wire/frame.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace wire {

/// A payload in the blocks in which it arrived or is kept: the lengths of its parts (the body's first, then each
/// blob's) and the blocks of all parts in order, as many as have arrived. No block crosses from one part into the next.
/// What a coordinator keeps and forwards without ever joining it.
struct pieces {
  std::vector<std::uint64_t> lengths;
  std::vector<bytes> blocks;

  /// Bytes of all parts once they are there.
  std::uint64_t size() const noexcept {
    std::uint64_t total = 0;
    for (const std::uint64_t length : lengths) total += length;
    return total;
  }
};

/// A whole payload as pieces: shares its blocks, copies nothing.
inline pieces pieces_of(const payload& whole) {
  pieces out;
  out.lengths.reserve(1 + whole.blobs.size());
  out.lengths.push_back(whole.body.size());
  if (!whole.body.empty()) out.blocks.push_back(whole.body);
  for (const bytes& blob : whole.blobs) {
    out.lengths.push_back(blob.size());
    if (!blob.empty()) out.blocks.push_back(blob);
  }
  return out;
}

/// Why a payload of so many blocks and bytes may not be sent at all under these limits (`too_large`), or `ok`.
inline error check_payload(std::size_t blobs, std::uint64_t size, const limits& agreed) {
  // The lengths of an announced payload stand in one frame.
  const std::size_t most = std::min<std::size_t>(
      agreed.blobs, agreed.frame_body > 2 * frame_reserve ? (agreed.frame_body - frame_reserve) / 8 : agreed.blobs);
  if (blobs > most)
    return error(
        errc::too_large,
        "a payload of " + std::to_string(blobs) + " blocks is over the limit of " + std::to_string(most), {},
        "put the data into fewer blocks, or raise limits.blobs in the options of client, coordinator and worker");
  if (size > agreed.payload)
    return error(
        errc::too_large,
        "a payload of " + std::to_string(size) + " bytes is over the limit of " + std::to_string(agreed.payload), {},
        "split the value, or raise --payload-bytes of coordinator and worker (limits.payload in the options of all)");
  return {};
}
inline error check_payload(const payload& whole, const limits& agreed) {
  return check_payload(whole.blobs.size(), whole.size(), agreed);
}

/// Whether a payload can travel whole inside the frame of its message. Otherwise the sender announces it and sends
/// chunks.
inline bool fits_in_frame(const payload& whole, const limits& agreed) noexcept {
  std::uint64_t in_body = std::uint64_t{4} * (whole.blobs.size() + 1), outside = 0;
  const auto count = [&](std::size_t size) { (size > splice_over ? outside : in_body) += size; };
  count(whole.body.size());
  for (const bytes& blob : whole.blobs) count(blob.size());
  return whole.blobs.size() <= std::min(agreed.blobs, blobs_in_frame) && outside <= agreed.frame_blobs &&
         in_body + frame_reserve <= agreed.frame_body;
}

/// What stands in the message instead of a payload that follows in chunks. `transfer`: not 0, unique among the open
/// transfers of this link and direction.
inline carried announce(std::vector<std::uint64_t> lengths, std::uint64_t transfer) {
  carried out;
  out.transfer = transfer;
  out.lengths = std::move(lengths);
  return out;
}

/// A position in the sending of pieces. `next` cuts the chunks as slices, without copying, each at most one frame; it
/// works while blocks are still arriving.
class chunk_cursor {
 public:
  /// The next chunk, or nothing while no further block is there. `from` must be the same pieces each time, grown at
  /// their end at most.
  std::optional<chunk> next(const pieces& from, std::uint64_t transfer, const limits& agreed) {
    if (block_ == from.blocks.size()) return std::nullopt;
    const bytes& block = from.blocks[block_];
    while (part_ < from.lengths.size() && sent_ == part_end_) {
      part_length_ = from.lengths[part_++];
      part_end_ += part_length_;
    }
    chunk out;
    out.transfer = transfer;
    out.offset = sent_;
    out.part = part_length_;
    out.within = sent_ - (part_end_ - part_length_);
    std::size_t size = std::min<std::size_t>(block.size() - within_, agreed.frame_blobs);
    // A last chunk so short that it travels inside the frame's body would not be received beside the others.
    if (const std::size_t rest = block.size() - within_ - size;
        rest != 0 && rest <= splice_over && size > 2 * splice_over)
      size -= splice_over;
    out.data = block.slice(within_, size);
    sent_ += size;
    within_ += size;
    if (within_ == block.size()) {
      ++block_;
      within_ = 0;
    }
    return out;
  }
  /// Bytes cut so far.
  std::uint64_t sent() const noexcept { return sent_; }

 private:
  std::size_t block_ = 0;
  std::size_t within_ = 0;
  std::uint64_t sent_ = 0;
  std::size_t part_ = 0;  // the part after the one in which `sent_` lies
  std::uint64_t part_end_ = 0;
  std::uint64_t part_length_ = 0;
};

/// Checks that the chunks of one announced payload come in order and within its announced lengths.
class chunk_order {
 public:
  chunk_order() = default;
  explicit chunk_order(std::vector<std::uint64_t> lengths) : lengths_(std::move(lengths)) {
    for (const std::uint64_t length : lengths_) expected_ += length;
    skip_empty();
  }

  /// `ok`, or `protocol_error` with the reason; after an error the transfer is void.
  error accept(const chunk& piece) {
    if (piece.offset != received_)
      return error(errc::protocol_error, "chunk out of order: it starts at byte " + std::to_string(piece.offset) +
                                             " of its payload, expected " + std::to_string(received_));
    if (piece.data.empty()) return error(errc::protocol_error, "empty chunk");
    if (complete() || piece.data.size() > lengths_[part_] - within_)
      return error(errc::protocol_error, "a chunk goes beyond the announced length of its part");
    received_ += piece.data.size();
    within_ += piece.data.size();
    skip_empty();
    return {};
  }
  bool complete() const noexcept { return received_ == expected_; }
  std::uint64_t received() const noexcept { return received_; }
  /// The part in which the next chunk lies, and how many of its bytes are there.
  std::size_t part() const noexcept { return part_; }
  std::uint64_t within() const noexcept { return within_; }
  const std::vector<std::uint64_t>& lengths() const noexcept { return lengths_; }

 private:
  void skip_empty() noexcept {
    while (part_ < lengths_.size() && within_ == lengths_[part_]) {
      ++part_;
      within_ = 0;
    }
  }
  std::vector<std::uint64_t> lengths_;
  std::uint64_t expected_ = 0;
  std::uint64_t received_ = 0;
  std::size_t part_ = 0;
  std::uint64_t within_ = 0;
};

/// Receives an announced payload whole: each part in one contiguous block.
///
/// A part whose chunks lie side by side in one block (the usual case, see `detail::landing`) stays there. For another
/// one a block is taken from the pool once a third of it has arrived, so an announcement by itself allocates nothing
/// and no sequence of chunks makes this hold much more than four times what was received.
class assembler {
 public:
  assembler() = default;
  explicit assembler(std::vector<std::uint64_t> lengths, block_pool& pool = block_pool::shared())
      : order_(std::move(lengths)), pool_(&pool) {}

  /// `ok`, or `protocol_error`: then the transfer is void. Throws std::bad_alloc.
  error accept(chunk piece) {
    const std::size_t part = order_.part();
    const std::uint64_t before = order_.within();
    if (error bad = order_.accept(piece)) return bad;
    const std::uint64_t length = order_.lengths()[part];
    const std::uint64_t after = before + piece.data.size();
    if (joined_.empty() && extend(piece.data, before)) {
      if (after == length) place(part, std::exchange(adjacent_, {}));
      return {};
    }
    if (joined_.empty() && !adjacent_.empty()) early_.push_back(std::exchange(adjacent_, {}));
    if (joined_.empty() && after < length && after < length / 3) {
      early_.push_back(std::move(piece.data));
      return {};
    }
    if (joined_.empty()) join_early(static_cast<std::size_t>(length));
    std::memcpy(joined_.data() + before, piece.data.data(), piece.data.size());
    if (after == length) place(part, std::exchange(joined_, {}).freeze());
    return {};
  }
  bool complete() const noexcept { return order_.complete(); }
  std::uint64_t received() const noexcept { return order_.received(); }
  /// The payload. Precondition: `complete()`.
  payload take() && {
    if (!order_.lengths().empty()) done_.blobs.resize(order_.lengths().size() - 1);
    return std::move(done_);
  }

 private:
  /// Whether this chunk lies right behind all of its part that has arrived before, in the same block.
  bool extend(const bytes& data, std::uint64_t before) {
    if (before == 0) {
      adjacent_ = data;
      return true;
    }
    const std::shared_ptr<const void>& owner = adjacent_.owner();
    if (adjacent_.size() != before || adjacent_.end() != data.begin() || owner.owner_before(data.owner()) ||
        data.owner().owner_before(owner))
      return false;
    adjacent_ = bytes(owner, adjacent_.data(), adjacent_.size() + data.size());
    return true;
  }
  void join_early(std::size_t length) {
    joined_ = mutable_bytes(length, *pool_);
    std::byte* at = joined_.data();
    for (const bytes& block : early_) {
      std::memcpy(at, block.data(), block.size());
      at += block.size();
    }
    early_.clear();
  }
  void place(std::size_t part, bytes block) {
    if (part == 0) {
      done_.body = std::move(block);
      return;
    }
    if (done_.blobs.size() < part) done_.blobs.resize(part);
    done_.blobs[part - 1] = std::move(block);
  }

  chunk_order order_;
  block_pool* pool_ = &block_pool::shared();
  bytes adjacent_;            // the beginning of a part, in one piece as it came
  std::vector<bytes> early_;  // else its beginning in chunks
  mutable_bytes joined_;
  payload done_;
};

}  // namespace wire
DTASK_END
