// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/wire/decoder.hpp"
#include "dtask/wire/link.hpp"
#include "dtask/wire/outbox.hpp"

DTASK_BEGIN
namespace net::detail {

/// What all links share: encoding and decoding, the order of events, and the ways to end. The transport derives from it
/// and moves the bytes.
///
/// The link that its owner holds points here; asynchronous operations keep this alive, not the owner's link.
class link_core : public std::enable_shared_from_this<link_core> {
 public:
  link_core(executor ex, wire::side at, const link_options& options, std::string peer)
      : options_(options), executor_(ex), decoder_(at, options.limits), peer_(std::move(peer)) {}
  link_core(const link_core&) = delete;
  link_core& operator=(const link_core&) = delete;
  virtual ~link_core() = default;

  void start(wire::link_events& events);
  /// Receives one message and keeps it for `start`; `heard` is told when it is there, or why none comes.
  void await_greeting(std::function<void(const error&)> heard);

  void send(wire::message&& m);
  void flush();
  void close();
  void abort(const error& why);
  /// The owner's link is gone.
  void detach();

  std::size_t unsent() const noexcept { return outbox_->unsent(); }
  std::size_t buffered_bytes() const noexcept { return outbox_->unsent() + decoder_.buffer_bytes(); }
  void set_limits(const wire::limits& agreed) noexcept { decoder_.set_limits(agreed); }
  const std::string& peer() const noexcept { return peer_; }

 protected:
  /// Hands over as much as the transport takes now; calls `wrote`. Nothing to do while an earlier write is under way.
  virtual void write() = 0;
  /// Begins to receive: `deliver` and `broke` follow.
  virtual void receive() = 0;
  /// Everything queued has been written, and nothing will be any more: tells the peer, and waits for its end within the
  /// grace time. `broke` follows.
  virtual void finish_sending() = 0;
  /// The close grace begins.
  virtual void limit_end() = 0;
  /// Releases the transport now. Nothing follows.
  virtual void shut() noexcept = 0;

  /// Delivers what the decoder holds. Whether to go on receiving.
  bool deliver();
  /// Writes, tells of the room that this made, and ends the link when it was to end.
  void pump();
  /// The transport ended or failed.
  void broke(error why);
  /// Calls the member function from the queue of the executor; keeps this alive until then.
  template <auto Member>
  void post_turn() {
    net::post(executor_, turn(shared_from_this(), [](void* self, const boost::system::error_code&) {
                (static_cast<link_core*>(self)->*Member)();
              }));
  }
  void wrote(std::size_t count) noexcept {
    outbox_->consumed(count);
    moved_bytes.fetch_add(count, std::memory_order_relaxed);
  }
  void took_in(std::size_t count) noexcept {
    decoder_.commit(count);
    moved_bytes.fetch_add(count, std::memory_order_relaxed);
  }
  bool discarding() const noexcept { return ending_; }
  bool ended() const noexcept { return ended_; }
  error end_of_stream() const;

  const link_options options_;
  executor executor_;
  wire::decoder decoder_;
  /// Shared, since a pipe's other end may still read it when this is gone. In this room nothing is made with
  /// std::make_shared, whose control block takes forty functions more for each type.
  const std::shared_ptr<wire::outbox> outbox_ = std::shared_ptr<wire::outbox>(new wire::outbox);

 private:
  void begin();
  bool deliver_greeting();
  /// The peer broke the protocol. One that speaks dtask is told so before the link ends.
  void refuse(const error& bad);
  void begin_end(const error& why);
  bool drained_due() const noexcept { return above_low_ && outbox_->unsent() <= wire::high_water / 2; }
  void schedule_flush();
  void posted_flush();
  void report_end();

  std::string peer_;
  wire::link_events* events_ = nullptr;
  std::function<void(const error&)> on_greeting_;
  std::optional<wire::message> first_;
  error why_;
  bool corked_ = false;  // inside a batch of events: its sends are flushed together at its end
  bool flush_posted_ = false;
  bool above_low_ = false;
  bool ending_ = false;  // writes what is queued, delivers nothing more
  bool finished_ = false;
  bool ended_ = false;
};

/// The link that its owner holds.
class owned_link final : public link {
 public:
  explicit owned_link(std::shared_ptr<link_core> core) : core_(std::move(core)) {}
  ~owned_link() override { core_->detach(); }
  void start(wire::link_events& events) override { core_->start(events); }
  void send(wire::message m) override { core_->send(std::move(m)); }
  void flush() override { core_->flush(); }
  void close() override { core_->close(); }
  void abort(const error& why) override { core_->abort(why); }
  std::size_t unsent() const noexcept override { return core_->unsent(); }
  std::size_t buffered_bytes() const noexcept override { return core_->buffered_bytes(); }
  void set_limits(const wire::limits& agreed) override { core_->set_limits(agreed); }
  std::string peer() const override { return core_->peer(); }

 private:
  std::shared_ptr<link_core> core_;
};

}  // namespace net::detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/net/impl/link_core.ipp"
#endif
