// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "dtask/base/block_pool.hpp"
#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/wire/detail/codec.hpp"
#include "dtask/wire/detail/fields.hpp"
#include "dtask/wire/detail/landing.hpp"
#include "dtask/wire/frame.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace wire {

/// The smaller of both sides' limits, field by field: what a coordinator answers in its welcome.
constexpr limits smaller(const limits& a, const limits& b) noexcept {
  return {std::min(a.frame_body, b.frame_body), std::min(a.frame_blobs, b.frame_blobs), std::min(a.blobs, b.blobs),
          std::min(a.payload, b.payload),       std::min(a.transfers, b.transfers),     std::min(a.jobs, b.jobs)};
}

/// Which end of a link a decoder serves. The one that listens expects a hello first; the one that connected expects the
/// answer to its own.
enum class side : std::uint8_t { listening, connecting };

/// Turns the bytes of one direction of a link into messages, as they come, in any cuts.
///
/// Every length is checked before memory is allocated for it; whatever the peer sends, what this holds stays below 4 x
/// the frame + 64 KiB. Blocks over 16 KiB are received where they will stay: `space` hands out the block's memory
/// itself, so a block is taken whole, within the limits, as soon as the body that announces it is there. Until limits
/// are agreed the peer is a stranger: greetings only, no block, a body of at most `max_hello`. The small bytes of a
/// message get one block of their own, so nothing decoded keeps the receive buffer alive. Thread safety: none; it
/// belongs to the link's thread.
class decoder {
 public:
  /// `own`: the limits that this side offers. On the connecting side those in a received `welcome` come into force at
  /// once, cut to `own`.
  explicit decoder(side at, const limits& own = {}, block_pool& pool = block_pool::shared())
      : side_(at), own_(own), limits_(own), pool_(&pool) {}

  /// The peer is no stranger any more.
  void set_limits(const limits& agreed) noexcept {
    limits_ = smaller(agreed, own_);
    stranger_ = false;
  }
  const limits& agreed() const noexcept { return limits_; }

  /// Where the next bytes of the link go: fill the first span, then the second (which may be empty), then `commit`.
  std::array<std::span<std::byte>, 2> space() {
    std::span<std::byte> direct;
    if (next_outside_ < outside_.size() && !block_.empty()) direct = block_.span().subspan(have_);
    make_space();
    return {direct.empty() ? std::span(buffer_.get() + end_, capacity_ - end_) : direct,
            direct.empty() ? std::span<std::byte>() : std::span(buffer_.get() + end_, capacity_ - end_)};
  }

  /// `count` bytes were put where `space` said.
  void commit(std::size_t count) noexcept {
    if (next_outside_ < outside_.size() && !block_.empty()) {
      const std::size_t direct = std::min(count, block_.size() - have_);
      have_ += direct;
      count -= direct;
    }
    end_ += count;
  }

  /// Decodes what is there. `sink(message&&)` is called for each whole message and returns whether to go on; after
  /// `false` the rest waits for the next call, and `space` must not be used before. Returns `ok`, or why the link must
  /// end: `protocol_error`, `version_mismatch` or `too_large`, with a sentence; then no later call gives a message.
  template <class Sink>
  error parse(Sink&& sink) {
    if (fault_) return fault_;
    for (;;) {
      const step next = advance();
      if (next == step::wait) return {};
      if (next == step::fault) return fault_;
      message whole = std::move(*current_);
      current_.reset();
      if (!sink(std::move(whole))) return {};
    }
  }

  /// `space`, `commit` and `parse` for bytes that are already in memory. Where `sink` returns false the rest of `from`
  /// is dropped.
  template <class Sink>
  error feed(std::span<const std::byte> from, Sink&& sink) {
    bool more = true;
    do {
      const auto spans = space();
      std::size_t copied = 0;
      for (const std::span<std::byte> to : spans) {
        const std::size_t n = std::min(to.size(), from.size());
        if (n != 0) std::memcpy(to.data(), from.data(), n);
        from = from.subspan(n);
        copied += n;
      }
      commit(copied);
      if (error bad = parse([&](message&& m) { return more = sink(std::move(m)); })) return bad;
    } while (more && !from.empty());
    return {};
  }

  /// What the end of the stream means here: `ok` between two frames, else `closed` that says what is missing: a
  /// connection may break anywhere, and that is no fault of the peer.
  error at_end() const {
    if (fault_) return fault_;
    if (next_outside_ < outside_.size())
      return error(errc::closed, "the peer closed in the middle of a block of " +
                                     std::to_string(outside_[next_outside_].size) + " bytes");
    if (end_ != begin_)
      return error(errc::closed, "the peer closed in the middle of a frame (" + std::to_string(end_ - begin_) +
                                     " bytes of it had come)");
    return {};
  }
  /// Memory of the receive buffer; the blocks of what arrives are the pool's.
  std::size_t buffer_bytes() const noexcept { return capacity_; }

 private:
  enum class step { wait, whole, fault };
  static constexpr std::size_t small_buffer = std::size_t{4} << 10;
  static constexpr std::size_t full_buffer = std::size_t{32} << 10;

  std::size_t filled() const noexcept { return end_ - begin_; }

  void make_space() {
    const std::size_t usual = stranger_ ? small_buffer : full_buffer;
    if (begin_ == end_) {
      begin_ = end_ = 0;
      if (capacity_ != usual) reallocate(usual);
      return;
    }
    // A frame larger than the buffer: it grows as the bytes come, not as they are announced.
    if (filled() == capacity_)
      return reallocate(std::max(usual, std::min(capacity_ * 2, std::max(wanted_, capacity_ + frame_header::size))));
    if (begin_ != 0 && capacity_ - end_ < capacity_ / 4) {
      std::memmove(buffer_.get(), buffer_.get() + begin_, filled());
      end_ -= begin_;
      begin_ = 0;
    }
  }
  void reallocate(std::size_t capacity) {
    auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (filled() != 0) std::memcpy(larger.get(), buffer_.get() + begin_, filled());
    end_ -= begin_;
    begin_ = 0;
    buffer_ = std::move(larger);
    capacity_ = capacity;
  }

  step fail(error why) {
    fault_ = std::move(why);
    outside_.clear();
    next_outside_ = 0;
    block_ = {};
    current_.reset();
    return step::fault;
  }
  step malformed(const frame_header& head, std::string_view why) {
    return fail(
        error(errc::protocol_error, "malformed " + std::string(type_name(head.type)) + " frame: " + std::string(why)));
  }

  step advance() try {
    if (next_outside_ < outside_.size()) return receive_blocks();
    if (filled() < opening_size) return step::wait;
    const std::byte* at = buffer_.get() + begin_;
    // Looked at before the whole head is there: a stranger that speaks something else may never send 32 bytes.
    if (error bad = check_opening({reinterpret_cast<const char*>(at), std::min(filled(), frame_header::size)}))
      return fail(std::move(bad));
    if (filled() < frame_header::size) return step::wait;
    const frame_header head = load_header(at);
    if (const step bad = check_head(head); bad == step::fault) return bad;
    wanted_ = frame_header::size + head.body;
    if (filled() < wanted_) return step::wait;
    begin_ += wanted_;
    return decode(head, at + frame_header::size);
  } catch (const std::bad_alloc&) {
    return fail(error(errc::too_large, "no memory for a frame of the peer"));
  }

  step check_head(const frame_header& head) {
    if (head.type == 0 || head.type > message::size)
      return fail(error(errc::protocol_error, "unknown frame type " + std::to_string(head.type)));
    if (head.flags != 0) return malformed(head, "unknown flags");
    const bool greeting = head.type <= type_of<pong>;
    if (side_ == side::listening && head.type == type_of<welcome>)
      return fail(error(errc::protocol_error, "a welcome frame from a peer that connected to this side"));
    if (stranger_ && !greeting)
      return fail(error(errc::protocol_error,
                        "a " + std::string(type_name(head.type)) + " frame before the hello was accepted"));
    const std::uint32_t body_limit = greeting ? max_hello : limits_.frame_body;
    const std::uint32_t blob_limit = greeting ? 0 : limits_.frame_blobs;
    if (head.body > body_limit || head.blob_bytes > blob_limit)
      return fail(error(errc::too_large,
                        "a " + std::string(type_name(head.type)) + " frame of " + std::to_string(head.body) + " + " +
                            std::to_string(head.blob_bytes) + " bytes is over the limit of " +
                            std::to_string(body_limit) + " + " + std::to_string(blob_limit),
                        {}, "larger payloads travel in chunks"));
    return step::wait;
  }

  step decode(const frame_header& head, const std::byte* body) {
    detail::reader in(body, head.body, head, limits_, outside_);
    current_.emplace().emplace_index(head.type - std::size_t{1});
    current_->visit([&in](auto& m) { detail::fields(in, m); });
    in.finish();
    if (in.fault() != nullptr) return malformed(head, in.fault());
    if (const auto* accepted = current_->get_if<welcome>()) set_limits(accepted->limits);
    if (const auto* ended = current_->get_if<abort_transfer>()) landing_.forget(ended->transfer);
    next_outside_ = 0;
    have_ = 0;
    return outside_.empty() ? step::whole : receive_blocks();
  }

  step receive_blocks() {
    while (next_outside_ < outside_.size()) {
      const detail::outside_part& part = outside_[next_outside_];
      if (block_.empty()) {
        block_ = block_for(part.size);
        have_ = 0;
      }
      const std::size_t n = std::min(filled(), block_.size() - have_);
      if (n != 0) std::memcpy(block_.data() + have_, buffer_.get() + begin_, n);
      begin_ += n;
      have_ += n;
      if (have_ < block_.size()) return step::wait;
      part_of(*current_, part.index) = std::exchange(block_, {}).freeze();
      ++next_outside_;
    }
    outside_.clear();
    next_outside_ = 0;
    return step::whole;
  }
  // The one who forwards a payload lets its chunks go one by one; only the ends of a transfer want it in one piece.
  mutable_bytes block_for(std::size_t size) {
    const chunk* piece = side_ == side::connecting ? current_->get_if<chunk>() : nullptr;
    return piece != nullptr ? landing_.place(*piece, size, limits_.transfers, *pool_) : mutable_bytes(size, *pool_);
  }
  static bytes& part_of(message& m, std::uint32_t index) {
    if (auto* piece = m.get_if<chunk>()) return piece->data;
    payload& whole = carried_in(m)->whole;
    return index == 0 ? whole.body : whole.blobs[index - 1];
  }

  side side_;
  limits own_;
  limits limits_;
  block_pool* pool_;
  bool stranger_ = true;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t wanted_ = 0;             // head and body of the frame that is being received
  std::optional<message> current_;     // decoded, perhaps waiting for its blocks
  row<detail::outside_part> outside_;  // its blocks
  std::size_t next_outside_ = 0;
  mutable_bytes block_;
  detail::landing landing_;
  std::size_t have_ = 0;
  error fault_;
};

}  // namespace wire
DTASK_END
