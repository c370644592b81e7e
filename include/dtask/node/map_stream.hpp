// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/job/outcome.hpp"
#include "dtask/node/call_options.hpp"
#include "dtask/node/detail/exchange.hpp"
#include "dtask/task/event.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// Where the arguments of a map's items come from.
class item_source {
 public:
  virtual ~item_source() = default;
  /// The encoded arguments of the next item; false at the end. Throws what the range throws, and the codec's errors.
  virtual bool next(payload& arguments) = 0;
};

/// What the calls of one map and its stream share.
struct map_arrivals {
  std::mutex guard;
  std::map<std::uint64_t, call_reply> ready;  // by position
  /// Apart, since the end of a batch sets it when the stream may be gone.
  std::shared_ptr<event> arrived = std::make_shared<event>();
};

class map_call final : public pending_call {
 public:
  map_call(std::shared_ptr<map_arrivals> to, std::uint64_t position) noexcept
      : to_(std::move(to)), position_(position) {}
  void complete(call_reply&& reply, completion_batch& batch) override {
    {
      const std::lock_guard hold(to_->guard);
      to_->ready.emplace(position_, std::move(reply));
    }
    batch.set_later(to_->arrived);
  }

 private:
  std::shared_ptr<map_arrivals> to_;
  std::uint64_t position_;
};

}  // namespace detail

/// The outcomes of a `map`, taken one by one. `while (auto r = co_await out.next()) use(**r);`
///
/// Items are taken from the range, encoded and sent inside `next()`, so that never more than the window are under way;
/// the range is used on the caller's task only. Destroying the stream cancels what is under way. Move-only, one
/// consumer.
template <class R>
class map_stream {
 public:
  map_stream(std::shared_ptr<detail::client_port> client, std::unique_ptr<detail::item_source> items,
             detail::call_form form, map_options options)
      : client_(std::move(client)),
        items_(std::move(items)),
        form_(std::move(form)),
        options_(options),
        arrivals_(std::make_shared<detail::map_arrivals>()) {
    if (options_.window == 0) options_.window = 1;
  }
  map_stream(map_stream&&) noexcept = default;
  map_stream& operator=(map_stream&&) = delete;
  ~map_stream() { cancel(); }

  /// The next outcome: in the order of the items, or as they come; nothing after the last. `position()` then tells
  /// which item it belongs to. Errors: what the range throws. Under stop all items under way are cancelled and
  /// `error(cancelled)` is thrown.
  task<std::optional<outcome<R>>> next() { return take(this); }

  /// The position in the range, from 0, of the item whose outcome `next()` gave last.
  std::uint64_t position() const noexcept { return last_; }
  /// Cancels what is under way and takes nothing more from the range; `next()` still gives the outcomes of what was
  /// sent.
  void cancel() {
    if (!client_) return;
    exhausted_ = true;
    for (auto& [position, call] : open_) client_->cancel(call);
  }

 private:
  static task<std::optional<outcome<R>>> take(map_stream* self) {
    const environment& env = co_await this_environment();
    std::optional<outcome<R>> given;
    for (;;) {
      self->fill(env);
      self->arrivals_->arrived->reset();
      std::optional<detail::call_reply> reply = self->pick();
      if (reply) {
        given.emplace(detail::to_outcome<R>(std::move(*reply)));
        break;
      }
      if (self->open_.empty()) break;
      std::exception_ptr stopped;
      try {
        co_await self->arrivals_->arrived->wait();
      } catch (...) {
        stopped = std::current_exception();
      }
      if (stopped) {
        self->cancel();
        std::rethrow_exception(stopped);
      }
    }
    co_return given;
  }
  /// Sends items until the window is full.
  void fill(const environment& env) {
    while (!exhausted_ && open_.size() < options_.window) {
      payload arguments;
      detail::call_reply failed;
      try {
        if (!items_->next(arguments)) {
          exhausted_ = true;
          items_.reset();
          break;
        }
      } catch (const error& e) {
        // An item that cannot be encoded is that item's outcome.
        if (e.code() != errc::encode_failed && e.code() != errc::too_large) throw;
        failed.why = detail::failure_of(e);
      }
      const std::uint64_t position = sent_++;
      auto call = std::make_shared<detail::map_call>(arrivals_, position);
      open_.emplace(position, call);
      if (failed.why.code != errc::ok) {
        // Before the node can hear of it: a cancel of what has ended completes nothing a second time.
        call->ended = true;
        detail::completion_batch here;
        call->complete(std::move(failed), here);
        continue;
      }
      call->request = form_;
      call->request.arguments = std::move(arguments);
      call->request.deadline = std::min(options_.deadline, env.remaining());
      client_->submit(std::move(call));
    }
  }
  std::optional<detail::call_reply> pick() {
    std::optional<detail::call_reply> reply;
    const std::lock_guard hold(arrivals_->guard);
    const auto first = arrivals_->ready.begin();
    if (first == arrivals_->ready.end()) return reply;
    if (options_.order == map_order::ordered && first->first != taken_) return reply;
    last_ = first->first;
    ++taken_;
    reply = std::move(first->second);
    open_.erase(first->first);
    arrivals_->ready.erase(first);
    return reply;
  }

  std::shared_ptr<detail::client_port> client_;
  std::unique_ptr<detail::item_source> items_;
  detail::call_form form_;
  map_options options_;
  std::shared_ptr<detail::map_arrivals> arrivals_;
  std::unordered_map<std::uint64_t, std::shared_ptr<detail::pending_call>> open_;
  std::uint64_t sent_ = 0;
  std::uint64_t taken_ = 0;
  std::uint64_t last_ = 0;
  bool exhausted_ = false;
};

DTASK_END
