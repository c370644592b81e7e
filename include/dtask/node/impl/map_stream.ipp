// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <exception>
#include <map>
#include <mutex>
#include <unordered_map>

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

struct map_core::state {
  std::shared_ptr<client_port> client;
  std::unique_ptr<item_source> items;
  call_form form;
  map_options options;
  std::shared_ptr<map_arrivals> arrivals = std::make_shared<map_arrivals>();
  std::unordered_map<std::uint64_t, std::shared_ptr<pending_call>> open;
  std::uint64_t sent = 0;
  std::uint64_t taken = 0;
  std::uint64_t last = 0;
  bool exhausted = false;

  void cancel() {
    exhausted = true;
    for (auto& [position, call] : open) client->cancel(call);
  }
  /// Sends items until the window is full.
  void fill(const environment& env) {
    while (!exhausted && open.size() < options.window) {
      payload arguments;
      call_reply failed;
      try {
        if (!items->next(arguments)) {
          exhausted = true;
          items.reset();
          break;
        }
      } catch (const error& e) {
        // An item that cannot be encoded is that item's outcome.
        if (e.code() != errc::encode_failed && e.code() != errc::too_large) throw;
        failed.why = failure_of(e);
      }
      const std::uint64_t position = sent++;
      auto call = std::make_shared<map_call>(arrivals, position);
      open.emplace(position, call);
      if (failed.why.code != errc::ok) {
        // Before the node can hear of it: a cancel of what has ended completes nothing a second time.
        call->ended = true;
        completion_batch here;
        call->complete(std::move(failed), here);
        continue;
      }
      call->request = form;
      call->request.arguments = std::move(arguments);
      call->request.deadline = std::min(options.deadline, env.remaining());
      client->submit(std::move(call));
    }
  }
  std::optional<call_reply> pick() {
    std::optional<call_reply> reply;
    const std::lock_guard hold(arrivals->guard);
    const auto first = arrivals->ready.begin();
    if (first == arrivals->ready.end()) return reply;
    if (options.order == map_order::ordered && first->first != taken) return reply;
    last = first->first;
    ++taken;
    reply = std::move(first->second);
    open.erase(first->first);
    arrivals->ready.erase(first);
    return reply;
  }

  // A template, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
  template <class = void>
  static task<std::optional<call_reply>> take(state* self) {
    if (!self->client) throw error(errc::closed, "this cluster is not connected");
    const environment& env = co_await this_environment();
    std::optional<call_reply> reply;
    for (;;) {
      self->fill(env);
      self->arrivals->arrived->reset();
      reply = self->pick();
      if (reply || self->open.empty()) break;
      std::exception_ptr stopped;
      try {
        co_await self->arrivals->arrived->wait();
      } catch (...) {
        stopped = std::current_exception();
      }
      if (stopped) {
        self->cancel();
        std::rethrow_exception(stopped);
      }
    }
    co_return reply;
  }
};

DTASK_INLINE map_core::map_core(std::shared_ptr<client_port> client, std::unique_ptr<item_source> items, call_form form,
                                const map_options& options)
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
DTASK_INLINE std::uint64_t map_core::position() const noexcept { return state_->last; }
DTASK_INLINE void map_core::cancel() {
  if (state_) state_->cancel();
}

}  // namespace detail
DTASK_END
