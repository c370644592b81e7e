// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "dtask/base/call_request.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/node/call_options.hpp"
#include "dtask/node/detail/call_reply.hpp"
#include "dtask/node/detail/decode_reply.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

class client_port;

/// Where the arguments of a map's items come from.
class item_source {
 public:
  virtual ~item_source() = default;
  /// The encoded arguments of the next item, or in `failed` why it cannot be encoded; false at the end. Throws what the
  /// range throws. Not called again after either.
  virtual bool next(payload& arguments, std::exception_ptr& failed) = 0;
};

/// A map without its types.
class map_core {
 public:
  map_core(std::shared_ptr<client_port> client, std::unique_ptr<item_source> items, call_request form,
           const map_options& options);
  map_core(map_core&&) noexcept;
  map_core& operator=(map_core&&) = delete;
  ~map_core();

  task<std::optional<call_reply>> next();
  std::uint64_t position() const noexcept;
  void cancel();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// The next reply, decoded in the task that awaits it.
template <class R>
class [[nodiscard("dtask: next() does nothing until it is awaited")]] next_op {
  using reply_task = task<std::optional<call_reply>>;
  using reply_awaiter = typename reply_task::awaiter;

 public:
  explicit next_op(reply_task coming) noexcept : coming_(std::move(coming)) {}
  class awaiter : public reply_awaiter {
   public:
    explicit awaiter(typename reply_task::promise_type::handle coming) noexcept : reply_awaiter(coming) {}
    std::optional<outcome<R>> await_resume() {
      std::optional<call_reply> reply = reply_awaiter::await_resume();
      std::optional<outcome<R>> given;
      if (reply) given.emplace(to_outcome<R>(std::move(*reply)));
      return given;
    }
  };
  awaiter operator co_await() && {
    coming_.filled("next");
    return awaiter(coming_.release());
  }

 private:
  reply_task coming_;
};

}  // namespace detail

/// The outcomes of a `map`, taken one by one. `while (auto r = co_await out.next()) use(**r);`
///
/// Items are taken from the range, encoded and sent inside `next()`, so that never more than the window are under way,
/// nor more than one item beyond `window_bytes`.
/// The range is used by the task that awaits `next()` only, and destroyed at its end, also where that is an exception.
/// An item that cannot be encoded is that item's outcome. Destroying the stream cancels what is under way. Move-only,
/// one consumer. Thread safety: `cancel` from any thread; the rest from one task at a time.
template <class R>
class map_stream {
 public:
  /// @cond internal
  explicit map_stream(detail::map_core core) noexcept : core_(std::move(core)) {}
  /// @endcond

  /// `std::optional<outcome<R>> r = co_await out.next();`: the next outcome, in the order of the items, or as they
  /// come; nothing after the last. `position()` then tells which item it belongs to.
  /// Errors: what the range throws, once, after the outcomes of all items before; then there is nothing more. `closed`
  /// of a stream that was moved from. A stop or a deadline ends this wait alone and is thrown as `error(cancelled)` or
  /// `error(deadline_exceeded)`: the items under way go on, each with the map's own deadline, no more are taken from
  /// the range meanwhile, and the next `next()` goes on where this one would have. To end the map, `cancel()` it or
  /// destroy the stream. Once its cluster is closed nothing more is taken from the range: what was taken ends
  /// `cancelled` or `closed`, and one outcome at least does; then there is nothing more.
  detail::next_op<R> next() { return detail::next_op<R>(core_.next()); }

  /// The position in the range, from 0, of the item whose outcome `next()` gave last; 0 before the first.
  std::uint64_t position() const noexcept { return core_.position(); }
  /// Cancels what is under way and takes nothing more from the range; `next()` still gives the outcome of every item
  /// that was sent: as with `job_handle::cancel`. Also while `next()` is awaited.
  void cancel() { core_.cancel(); }

 private:
  detail::map_core core_;
};

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/map_stream.ipp"
#endif
