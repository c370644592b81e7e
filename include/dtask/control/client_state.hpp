// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/call_request.hpp"
#include "dtask/base/call_wishes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/send_queue.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/slab_timers.hpp"
#include "dtask/control/uplink.hpp"
#include "dtask/wire/row.hpp"

DTASK_BEGIN
namespace control {

// clang-format off
/// Where a call is, as its client knows it.
///
///     waiting ── room ──▶ unsent ── online, and credit for its cost ──▶ sent ── result ──▶ (complete)
///     sent ── `overloaded` ──▶ pausing ── back-off over ──▶ unsent
///     sent ── given back by a coordinator that ends ──▶ unsent (first)
///     sent ── the coordinator lost it with a link, or restarted and the job may run twice ──▶ unsent (first)
///     sent ── restarted coordinator, at_most_once or no retries left ──▶ (complete: coordinator_lost, session_lost)
///     any ── no coordinator for coordinator_wait; deadline plus slack; cancel_within after a cancel ──▶ (complete)
///
/// A call that ended here while the coordinator still has it keeps its place as `zombie`, so that no other call gets
/// its number, until the coordinator's result comes.
// clang-format on
enum class call_phase : std::uint8_t { waiting, unsent, sent, pausing, zombie };

struct call_record {
  std::uint32_t generation = 0;
  call_phase phase = call_phase::waiting;
  call_wishes wishes;
  bool cancelled = false;
  bool known = false;  ///< named by the coordinator after a resumed session
  std::uint32_t type = 0;
  std::uint32_t attempts = 0;  ///< spent at coordinators that are gone
  std::uint32_t refusals = 0;  ///< times that it was answered `overloaded`
  std::uint64_t broadcasts = 0;
  std::uint64_t cost = 0;
  time_point deadline = never;
  time_point cancel_at = never;  ///< when a cancelled call ends here
  time_point wake = never;
  payload arguments;
  list_node node;
  timer_node timer;
};

/// Decides for a client (or an observer). Events and `now` in, actions out; no clock, no socket, no thread. Driven like
/// `worker_state`.
///
/// The way to the coordinator stands at `uplink`, the life of a call at `call_phase`. Broadcasts are sent one after the
/// other, so that a call's number of broadcasts says what it must see; the newest value of each name is kept, for a
/// coordinator that has lost it. Memory: `max_calls` records, their arguments until their ends (they may have to be
/// sent again), of which at most about `unsent_bytes` wait for credit, or for another try after `overloaded`. What is
/// submitted beyond waits for room, in order; whoever submits is meant to wait for `accepted` before it submits more.
class client_state {
 public:
  client_state(identity who, const client_options& options, std::uint64_t seed);
  client_state(const client_state&) = delete;
  client_state& operator=(const client_state&) = delete;

  void start(time_point now);
  void connected(link_id link, time_point now);
  void dial_failed(const error& why, time_point now);
  void received(link_id link, wire::message&& what, time_point now);
  /// Bytes have come on the link, if only a part of a message: a sign of life, so that a slow path is not taken for a
  /// dead peer.
  void heard(link_id link, time_point now);
  void closed(link_id link, const error& why, time_point now);
  void unsent(link_id link, std::size_t bytes, time_point now);
  /// What it holds beside its process: arguments of open calls, results that are still arriving, values that it
  /// broadcast.
  memory_use memory(memory_use process) const;

  /// A new call; exactly one `complete` with the returned number follows, whatever happens. Where there is room, now or
  /// later, `accepted` comes before it: then the call waits for credit. `submitted`: when its deadline begins, which
  /// may be a little before the newest event.
  std::uint64_t submit(call_request request, time_point submitted);
  /// The result is not wanted any more: `complete` follows at most `cancel_within` later, `cancelled` or with a value
  /// that was on its way; a failure that comes afterwards is told in the words of `cancelled`.
  void cancel(std::uint64_t call, time_point now);
  /// A value for all workers that run jobs of this session; `broadcast_complete` with the returned number follows.
  /// Calls submitted later see it, or a newer one of the name. `hash`: of the value, by the digest function of the
  /// options. `published` instead of `broadcast`: workers get it when their jobs ask for it.
  std::uint64_t broadcast(std::string name, bytes value, wire::digest hash, time_point now,
                          wire::blob_kind kind = wire::blob_kind::broadcast);
  std::uint64_t broadcast(std::string name, bytes value, time_point now,
                          wire::blob_kind kind = wire::blob_kind::broadcast);
  /// Calls submitted later find no value of this name. Otherwise as `broadcast`; a name without a value is none the
  /// worse for it.
  std::uint64_t withdraw(std::string name, time_point now);
  /// The coordinator's status; `status_arrived` with the returned number follows within `status_within`.
  std::uint64_t query_status(time_point now);

  /// Orderly end: no new calls, cancels the open ones and waits at most `close_within` for their ends, then `closed`.
  void close(time_point now);
  /// At once: completes everything here as cancelled, says goodbye, `closed`.
  void abandon(time_point now);

  void tick(time_point now);
  time_point next_tick() const noexcept;
  /// Decides what the events since the last call lead to, and swaps the actions into `out`, which is cleared first; its
  /// memory is used again.
  void take_actions(std::vector<client_action>& out, time_point now);

  bool online() const noexcept { return up_.ready(); }
  bool ended() const noexcept { return ended_; }
  /// Checks everything that must hold between events; the first violation in words, or an empty string. For simulations
  /// and tests.
  std::string check() const;

 private:
  using call_list = slot_list<call_record, &call_record::node>;
  struct incoming {
    std::uint64_t transfer = 0;
    wire::result head;
    wire::assembler from;
  };
  struct value_record {
    std::uint64_t number = 0;
    wire::blob_kind kind = wire::blob_kind::broadcast;
    std::string name;
    wire::digest hash{};
    bytes value;
    bool told = false;  ///< `broadcast_complete` was given: it is sent again on a new session only
  };
  struct query {
    std::uint64_t request = 0;
    time_point until{};
    bool sent = false;
  };

  /// To a coordinator that has welcomed this client, to nobody else: before the welcome only the hello may go.
  void emit(wire::message&& what) {
    if (!up_.ready()) return;
    actions_.emplace_back(std::in_place_type<send>, up_.link(), std::move(what));
    sending_ = true;
  }
  void say(log_level level, std::string_view event, std::string text) {
    actions_.emplace_back(std::in_place_type<note>, level, event, std::move(text));
  }
  void violation(std::string_view what, time_point now);
  void link_broken(time_point now);
  void rebroadcast();
  error why_none() const;
  void new_session(bool same_epoch, time_point now);
  void coordinator_gone(const error& why, bool final, time_point now);
  bool below_bounds() const noexcept {
    return calls_.size() - waiting_.size() < options_.max_calls && unsent_cost_ < options_.unsent_bytes;
  }
  void accept(std::uint32_t c);
  void accept_waiting();
  void requeue(std::uint32_t c, bool front);
  void send_calls(time_point now);
  wire::failure unfit(const std::string& name, std::size_t size, const wire::limits& agreed) const;
  void send_broadcasts();
  void send_queries();
  void end_call(std::uint32_t c, wire::failure why, payload value, std::uint32_t attempts, std::string worker,
                bool known_there);
  void end_here(std::uint32_t c, errc code, std::string text, std::string remedy);
  void expired(std::uint32_t c, time_point now);
  void arm(std::uint32_t c);
  void resulted(wire::result&& head, payload&& value, time_point now);
  void forget_zombie(std::uint32_t c);
  void finish_close(time_point now);
  void leave();
  std::uint64_t needed_broadcast() const noexcept;

  void on(wire::welcome&& m, time_point now);
  void on(wire::refuse&& m, time_point now);
  void on(wire::goodbye&& m, time_point now);
  void on(wire::ping&& m, time_point) { emit(wire::pong{m.stamp}); }
  void on(wire::pong&&, time_point) {}
  void on(wire::chunk&& m, time_point now);
  void on(wire::abort_transfer&& m, time_point now);
  void on(wire::credit&& m, time_point) { credit_ += static_cast<std::int64_t>(m.bytes); }
  void on(wire::result&& m, time_point now);
  void on(wire::state&& m, time_point now);
  void on(wire::broadcast_done&& m, time_point now);
  void on(wire::known_calls&& m, time_point now);
  void on(wire::status_report&& m, time_point now);
  template <class Other>
  void on(Other&&, time_point now) {
    violation("a message that a coordinator does not send", now);
  }

  identity who_;
  client_options options_;
  uplink up_;
  send_queue out_;
  std::uint64_t session_ = 0, key_ = 0, epoch_ = 0;
  std::int64_t credit_ = 0;
  std::uint64_t window_ = 0;
  bool syncing_ = false;  ///< a resumed session has not yet said which calls it holds
  bool going_ = false;    ///< the coordinator ends: it takes no calls any more
  bool was_online_ = false;
  bool gone_ = false;  ///< no coordinator within the stated time: calls end at once
  error refused_;      ///< why there will never be one
  error last_error_;

  slab<call_record> calls_;
  call_list waiting_;  ///< for room
  call_list unsent_;
  slab_timers<call_record, &call_record::timer> timers_;
  std::uint64_t open_ = 0;
  std::uint64_t argument_bytes_ = 0;  ///< of all open calls
  std::uint64_t unsent_cost_ = 0;
  wire::row<incoming> in_;
  std::vector<std::uint64_t> acks_;
  time_point acks_at_ = never;  ///< when they are sent even alone
  bool sending_ = false;        ///< something was sent since the last `take_actions`

  std::uint64_t last_broadcast_ = 0;
  wire::row<value_record> to_broadcast_;  ///< the first is on its way where `broadcasting_`
  bool broadcasting_ = false;
  wire::row<value_record> broadcasts_;  ///< held by the coordinator: the newest of each name
  std::uint64_t last_request_ = 0;
  wire::row<query> queries_;

  bool closing_ = false;
  bool ended_ = false;
  time_point close_until_ = never;
  std::vector<client_action> actions_;
};

}  // namespace control
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/control/impl/client_calls.ipp"
#include "dtask/control/impl/client_link.ipp"
#include "dtask/control/impl/client_values.ipp"
#endif
