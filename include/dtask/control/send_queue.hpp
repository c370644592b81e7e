// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/control/stream.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/link.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/row.hpp"
#include "dtask/wire/transfer.hpp"

DTASK_BEGIN
namespace control {

/// The payload of a message that has one, else nullptr.
inline wire::carried* carried_of(wire::message& m) noexcept { return wire::carried_in(m); }

/// What waits to be sent on one link: large payloads, cut into chunks that take turns with each other and let small
/// messages pass, never more than a window of bytes ahead of the socket. A heartbeat therefore never waits behind a
/// large payload.
///
/// Entries start in the order in which they were queued; up to `max_active` announced payloads then advance side by
/// side, chunk by chunk. Small messages do not come here, except where they must not overtake what is queued
/// (`push_whole`).
class send_queue {
 public:
  static constexpr std::size_t max_active = 16;
  /// Payloads up to this size go with their message at once.
  static constexpr std::size_t small = 16u << 10;

  /// What became of an entry that is to be taken back.
  enum class removed : std::uint8_t { absent, before_start, cut_short };

  bool empty() const noexcept { return waiting_.empty() && active_.empty(); }
  /// Bytes that the driver reported as unsent, plus what was sent since.
  void set_unsent(std::size_t bytes) noexcept { unsent_ = bytes; }
  std::size_t unsent() const noexcept { return unsent_; }
  void set_limits(const wire::limits& agreed) noexcept { limits_ = agreed; }
  const wire::limits& limits() const noexcept { return limits_; }
  /// More entries than `max_active` start where all that have started wait for bytes. Results need that: the credit of
  /// a worker can lie in results behind those that wait for more of the same credit, and then nothing would move again.
  void start_when_starved() noexcept { start_when_starved_ = true; }

  /// Queues a message whose payload is still to be filled in: `from` is sent with it, whole where it is complete and
  /// fits in a frame, else announced and in chunks. `key` names the entry for `remove` and `progress`, `group` (not 0)
  /// those that are taken back together, for `remove_group`.
  void push(wire::message head, std::shared_ptr<stream> from, std::uint64_t key, std::uint64_t group = 0);
  /// Queues a whole message of about `size` bytes that waits for the window.
  void push_whole(wire::message head, std::size_t size, std::uint64_t key, std::uint64_t group = 0);
  /// Whether a small message sent now would overtake an entry that has not been announced.
  bool would_overtake() const noexcept { return !waiting_.empty(); }

  /// Sends what the window and `allowance`, bytes of credit, allow; the last piece may exceed the credit, which is then
  /// owed. `emit(message&&)` for each message, `progress(key, bytes, finished)` for payload bytes that went out.
  /// Returns those bytes.
  template <class Emit, class Progress>
  std::int64_t pump(Emit&& emit, Progress&& progress,
                    std::int64_t allowance = std::numeric_limits<std::int64_t>::max()) {
    std::int64_t sent = 0;
    const auto count = [&](std::uint64_t key, std::size_t size, bool finished) {
      sent += static_cast<std::int64_t>(size);
      progress(key, size, finished);
    };
    while (unsent_ < wire::high_water && sent < allowance)
      if (!start_next(emit, count, false) && !continue_one(emit, count) &&
          !(start_when_starved_ && start_next(emit, count, true)))
        break;
    return sent;
  }

  /// Takes back the entry with this key. One that was announced is ended on the wire with `why`; the receiver drops
  /// what it has.
  template <class Emit>
  removed remove(std::uint64_t key, const wire::failure& why, Emit&& emit) {
    if (entry* const unsent = waiting_.find_if([key](const entry& e) { return e.key == key; })) {
      waiting_.erase(unsent);
      return removed::before_start;
    }
    for (std::size_t i = 0; i < active_.size(); ++i)
      if (active_[i].key == key) {
        emit(wire::message(wire::abort_transfer{active_[i].transfer, why}));
        erase_active(i);
        return removed::cut_short;
      }
    return removed::absent;
  }
  /// Takes back all entries of this group, as `remove` does with one.
  template <class Emit>
  void remove_group(std::uint64_t group, const wire::failure& why, Emit&& emit) {
    waiting_.erase_if([&](const entry& e) { return e.group == group; });
    for (std::size_t i = active_.size(); i-- > 0;)
      if (active_[i].group == group) {
        emit(wire::message(wire::abort_transfer{active_[i].transfer, why}));
        erase_active(i);
      }
  }
  /// Calls `look(key, group)` for each entry.
  template <class Look>
  void each(Look&& look) const {
    for (const entry& e : waiting_) look(e.key, e.group);
    for (const entry& e : active_) look(e.key, e.group);
  }
  /// Forgets everything: the link is gone. Calls `dropped(key)` for each entry.
  template <class Dropped>
  void clear(Dropped&& dropped) {
    for (const entry& e : waiting_) dropped(e.key);
    for (const entry& e : active_) dropped(e.key);
    waiting_.clear();
    active_.clear();
    unsent_ = 0;
    turn_ = 0;
  }

 private:
  struct entry {
    wire::message head;
    std::shared_ptr<stream> from;
    std::uint64_t key = 0;
    std::uint64_t group = 0;
    wire::chunk_cursor cursor;
    std::uint64_t transfer = 0;
    std::size_t size = 0;
  };

  template <class Emit, class Progress>
  bool start_next(Emit&& emit, Progress&& progress, bool starved) {
    if (waiting_.empty()) return false;
    entry& first = waiting_.front();
    if (!first.from) {
      unsent_ += first.size;
      const std::uint64_t key = first.key;
      const std::size_t size = first.size;
      emit(std::move(first.head));
      waiting_.pop_front();
      progress(key, size, true);
      return true;
    }
    if (first.from->complete() && whole(first, emit, progress)) return true;
    if (!starved && active_.size() >= std::min<std::size_t>(max_active, limits_.transfers)) return false;
    first.transfer = ++last_transfer_;
    *carried_of(first.head) = wire::announce(first.from->held.lengths, first.transfer);
    emit(std::move(first.head));
    active_.push_back(std::move(first));
    waiting_.pop_front();
    return true;
  }
  /// A complete payload in one block per part that fits in a frame travels with its message.
  template <class Emit, class Progress>
  bool whole(entry& e, Emit&& emit, Progress&& progress) {
    const wire::pieces& held = e.from->held;
    payload joined;
    std::size_t block = 0;
    for (std::size_t part = 0; part < held.lengths.size(); ++part) {
      bytes piece;
      if (held.lengths[part] != 0) {
        if (block == held.blocks.size() || held.blocks[block].size() != held.lengths[part]) return false;
        piece = held.blocks[block++];
      }
      if (part == 0)
        joined.body = std::move(piece);
      else
        joined.blobs.push_back(std::move(piece));
    }
    if (!wire::fits_in_frame(joined, limits_)) return false;
    const std::size_t size = joined.size();
    unsent_ += size;
    *carried_of(e.head) = wire::carried{std::move(joined), 0, {}};
    const std::uint64_t key = e.key;
    emit(std::move(e.head));
    waiting_.pop_front();
    progress(key, size, true);
    return true;
  }
  template <class Emit, class Progress>
  bool continue_one(Emit&& emit, Progress&& progress) {
    for (std::size_t tried = 0; tried < active_.size(); ++tried) {
      turn_ = (turn_ + 1) % active_.size();
      entry& e = active_[turn_];
      std::optional<wire::chunk> piece = e.cursor.next(e.from->held, e.transfer, limits_);
      if (!piece) {
        if (!e.from->complete() || e.cursor.sent() < e.from->held.size()) continue;  // the rest has not arrived
        piece.reset();
      }
      std::size_t size = 0;
      if (piece) {
        size = piece->data.size();
        unsent_ += size;
        emit(wire::message(std::move(*piece)));
      }
      const bool finished = e.from->complete() && e.cursor.sent() == e.from->held.size();
      const std::uint64_t key = e.key;
      if (finished) erase_active(turn_);
      progress(key, size, finished);
      return true;
    }
    return false;
  }
  void erase_active(std::size_t i);

  wire::row<entry> waiting_;
  wire::row<entry> active_;
  wire::limits limits_;
  std::size_t unsent_ = 0;
  std::size_t turn_ = 0;
  std::uint64_t last_transfer_ = 0;
  bool start_when_starved_ = false;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/send_queue.ipp"
#endif
