// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <condition_variable>
#include <mutex>
#include <utility>

#include "dtask/net/url.hpp"
#include "dtask/node/detail/check_options.hpp"
#include "dtask/node/detail/coordinator_node.hpp"
#include "dtask/node/detail/digest.hpp"
#include "dtask/node/detail/node_thread.hpp"
#include "dtask/process/parts/random_number.hpp"

DTASK_BEGIN

struct coordinator::state {
  explicit state(duration polling) : thread(polling) {}
  std::mutex guard;
  std::condition_variable changed;
  bool ended = false;
  detail::node_thread thread;
  std::shared_ptr<detail::coordinator_node> node;
};

DTASK_INLINE coordinator::coordinator(std::string_view listen, const coordinator_options& given) {
  if (listen.starts_with("tcp://")) listen.remove_prefix(6);
  const net::host_port at = net::parse_host_port(listen).value();
  if (const error bad = detail::check_options(given)) throw bad;
  state_ = std::make_unique<state>(given.polling);
  const control::coordinator_options options{given, &detail::xxh3_digest};
  state& s = *state_;
  s.node = std::make_shared<detail::coordinator_node>(s.thread.executor(), options, detail::random_number());
  if (const error bad = s.thread.call([&] { return s.node->listen(at, given.beyond_loopback); })) {
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
DTASK_INLINE std::string coordinator::url() {
  return "tcp://" + net::to_string(state_->thread.call([this] { return state_->node->address(); }));
}
DTASK_INLINE void coordinator::drain() {
  state_->thread.post([node = state_->node] { node->drain(); });
}
DTASK_INLINE void coordinator::stop() {
  state_->thread.post([node = state_->node] { node->stop(); });
}
DTASK_INLINE cluster_status coordinator::status() {
  return state_->thread.call([this] { return state_->node->status(); });
}
DTASK_INLINE void coordinator::wait() {
  std::unique_lock hold(state_->guard);
  state_->changed.wait(hold, [this] { return state_->ended; });
}

DTASK_END
