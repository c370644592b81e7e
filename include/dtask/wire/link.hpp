// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <string>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace wire {

/// What a link tells the one who drives it. All calls come from the link's own thread, one at a time, never from inside
/// `send` or `close`.
class link_events {
 public:
  /// A whole message was received and checked against the limits. Frames that came in one read arrive one after the
  /// other, then `batch_end`.
  virtual void received(message m) = 0;
  /// All messages of one read have been delivered, none where it brought only a part of one: the place to decide, and
  /// to send in one batch. Every call is a sign of life.
  virtual void batch_end() = 0;
  /// `unsent()` fell to or below the low-water mark after it had been above.
  virtual void drained() = 0;
  /// The link is gone; nothing follows. The error names the cause (closed by the peer, protocol error, time) and the
  /// peer.
  virtual void closed(const error& why) = 0;

 protected:
  ~link_events() = default;
};

/// One connection between two nodes as node/ and sim/ see it: messages in order, or the end. Over TCP, an in-process
/// pipe, or a simulated network.
///
/// Thread safety: all functions are called on the link's own thread only.
class link {
 public:
  virtual ~link() = default;
  /// Queues a message; it is flushed at the end of the turn. After the end of the link it is dropped silently (the
  /// `closed` event has said so). Precondition: the message respects the limits in force.
  virtual void send(message m) = 0;
  /// Hands to the system now, within this call, as much of what is queued as it takes; the rest follows as usual.
  virtual void flush() {}
  /// Ends the link after everything queued has been written, at most `grace` later. `closed` follows.
  virtual void close() = 0;
  /// Ends the link now. `closed` follows.
  virtual void abort(const error& why) = 0;
  /// Bytes queued and not yet handed to the system.
  virtual std::size_t unsent() const noexcept = 0;
  /// The limits agreed in hello and welcome; until then, those of a stranger.
  virtual void set_limits(const limits& agreed) = 0;
  /// The peer's address for people: `127.0.0.1:41234`, `pipe`, `sim:3`.
  virtual std::string peer() const = 0;
};

/// Above this many unsent bytes a driver sends no further chunks; `drained` comes when half of it is left.
inline constexpr std::size_t high_water = 8u << 20;

}  // namespace wire
DTASK_END
