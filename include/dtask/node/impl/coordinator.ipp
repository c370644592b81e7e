// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <mutex>
#include <utility>

#include "dtask/node/detail/check_options.hpp"
#include "dtask/node/detail/coordinator_node.hpp"
#include "dtask/node/detail/digest.hpp"
#include "dtask/node/detail/node_thread.hpp"
#include "dtask/node/detail/random_number.hpp"

DTASK_BEGIN

struct coordinator::state {
  explicit state(duration polling) : thread(polling) {}
  std::mutex guard;
  std::condition_variable changed;
  bool ended = false;
  detail::node_thread thread;
  std::shared_ptr<detail::coordinator_node> node;
};

DTASK_INLINE coordinator::coordinator(const net::host_port& at, bool beyond_loopback,
                                      control::coordinator_options options, duration polling) {
  if (const error bad = detail::check_options(options)) throw bad;
  state_ = std::make_unique<state>(polling);
  options.digest = &detail::xxh3_digest;
  state& s = *state_;
  s.node = std::make_shared<detail::coordinator_node>(s.thread.executor(), options, detail::random_number());
  if (const error bad = s.thread.call([&] { return s.node->listen(at, beyond_loopback); })) {
    s.thread.call([&s] { s.node->take_down(); });
    throw bad;
  }
  s.thread.post([&s, node = s.node] {
    node->when_ended([&s] {
      const std::lock_guard hold(s.guard);
      s.ended = true;
      s.changed.notify_all();
    });
  });
}
DTASK_INLINE coordinator::~coordinator() {
  state_->thread.call([this] { state_->node->take_down(); });
  state_->node.reset();
}
DTASK_INLINE net::host_port coordinator::address() {
  return state_->thread.call([this] { return state_->node->address(); });
}
DTASK_INLINE void coordinator::drain() {
  state_->thread.post([node = state_->node] { node->drain(); });
}
DTASK_INLINE void coordinator::stop() {
  state_->thread.post([node = state_->node] { node->stop(); });
}
DTASK_INLINE wire::status_report coordinator::status() {
  return state_->thread.call([this] { return state_->node->status(); });
}
DTASK_INLINE void coordinator::wait() {
  std::unique_lock hold(state_->guard);
  state_->changed.wait(hold, [this] { return state_->ended; });
}

DTASK_END
