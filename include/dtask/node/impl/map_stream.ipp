// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "dtask/base/error.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/pending_call.hpp"
#include "dtask/task/environment.hpp"
#include "dtask/task/event.hpp"

DTASK_BEGIN
namespace detail {

/// What the calls of one map and its stream share.
struct map_arrivals {
  std::mutex guard;
  std::map<std::uint64_t, call_reply> ready;  // by position
  std::uint64_t bytes = 0;                    // arguments of open calls, results that are ready
  /// Apart, since the end of a batch sets it when the stream may be gone.
  std::shared_ptr<event> arrived = std::make_shared<event>();
};

class map_call final : public pending_call {
 public:
  map_call(std::shared_ptr<map_arrivals> to, std::uint64_t position, std::uint64_t arguments)
      : to_(std::move(to)), position_(position), arguments_(arguments) {
    const std::lock_guard hold(to_->guard);
    to_->bytes += arguments_;
  }
  void complete(call_reply&& reply, completion_batch& batch) override {
    {
      const std::lock_guard hold(to_->guard);
      to_->bytes += reply.value.size();
      to_->bytes -= arguments_;
      to_->ready.emplace(position_, std::move(reply));
    }
    batch.set_later(to_->arrived);
  }

 private:
  std::shared_ptr<map_arrivals> to_;
  std::uint64_t position_;
  std::uint64_t arguments_;
};

struct map_core::state {
  std::shared_ptr<client_port> client;
  std::unique_ptr<item_source> items;  // until the range is at its end
  std::exception_ptr thrown;           // by the range, until next() throws it
  call_request form;
  map_options options;
  std::shared_ptr<map_arrivals> arrivals = std::make_shared<map_arrivals>();
  std::uint64_t sent = 0;
  std::uint64_t taken = 0;
  std::uint64_t last = 0;
  // Against cancel(). Held while a call is handed over, so that its cancel does not overtake it.
  std::mutex guard;
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_call>> open;
  bool cancelled = false;

  void cancel() {
    const std::lock_guard hold(guard);
    if (std::exchange(cancelled, true)) return;
    for (auto& [position, call] : open) client->cancel(call);
  }
  bool takes_more() {
    const std::lock_guard hold(guard);
    if (!items || cancelled || open.size() >= options.window) return false;
    const std::lock_guard hold_bytes(arrivals->guard);
    return open.empty() || arrivals->bytes < options.window_bytes;
  }
  bool at_end() {
    const std::lock_guard hold(guard);
    return open.empty() && (!items || cancelled);
  }
  /// Sends items until the window is full, or whoever waits is stopped, which a slow range shall not hold up.
  void fill(const environment& env) {
    while (takes_more() && !env.stop_requested()) {
      try {
        if (!send_next()) items.reset();
      } catch (...) {
        thrown = std::current_exception();
        // A range that has thrown is not touched again: a generator is at its end then, and resuming it undefined.
        items.reset();
      }
    }
  }
  /// False where there was nothing to send.
  bool send_next() {
    payload arguments;
    std::exception_ptr failed;
    if (!items->next(arguments, failed)) return false;
    const std::lock_guard hold(guard);
    if (cancelled) return false;
    auto call = std::make_shared<map_call>(arrivals, sent, failed ? 0 : arguments.size());
    if (failed) {
      call_reply reply;
      reply.why = encoding_failure(failed);
      completion_batch here;
      call->complete(std::move(reply), here);
    } else {
      call->request = form;
      call->request.arguments = std::move(arguments);
      client->submit(call);
    }
    open.emplace(sent, std::move(call));
    ++sent;
    return true;
  }
  std::optional<call_reply> pick() {
    std::optional<call_reply> reply;
    const std::lock_guard hold(guard);
    const std::lock_guard hold_ready(arrivals->guard);
    const auto first = arrivals->ready.begin();
    if (first == arrivals->ready.end()) return reply;
    if (options.order == map_order::ordered && first->first != taken) return reply;
    last = first->first;
    ++taken;
    arrivals->bytes -= first->second.value.size();
    reply = std::move(first->second);
    open.erase(first->first);
    arrivals->ready.erase(first);
    return reply;
  }

  // A template, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
  template <class = void>
  static task<std::optional<call_reply>> take(state* self) {
    if (!self) throw error(errc::closed, "this stream of a map was moved from", {}, "use the one that has it now");
    const environment& env = co_await this_environment();
    std::optional<call_reply> reply;
    for (;;) {
      self->fill(env);
      self->arrivals->arrived->reset();
      reply = self->pick();
      // No call is taken any more, so that what is left of the range, endless perhaps, would all end so.
      if (reply && reply->attempts == 0 && reply->why.code == errc::closed) self->cancel();
      if (reply || self->at_end()) break;
      // A stop ends this wait alone. Also where the window is empty, since it is what ended fill() then.
      co_await self->arrivals->arrived->wait();
    }
    if (!reply && self->thrown) std::rethrow_exception(std::exchange(self->thrown, nullptr));
    co_return reply;
  }
};

DTASK_INLINE map_core::map_core(std::shared_ptr<client_port> client, std::unique_ptr<item_source> items,
                                call_request form, const map_options& options)
    : state_(std::make_unique<state>()) {
  state_->client = std::move(client);
  state_->items = std::move(items);
  state_->form = std::move(form);
  state_->options = options;
  if (state_->options.window == 0) state_->options.window = 1;
}
DTASK_INLINE map_core::map_core(map_core&&) noexcept = default;
DTASK_INLINE map_core::~map_core() { cancel(); }
DTASK_INLINE task<std::optional<call_reply>> map_core::next() { return state::take(state_.get()); }
DTASK_INLINE std::uint64_t map_core::position() const noexcept { return state_ ? state_->last : 0; }
DTASK_INLINE void map_core::cancel() {
  if (state_) state_->cancel();
}

}  // namespace detail
DTASK_END
