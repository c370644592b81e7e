// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "dtask/base/core_count.hpp"
#include "dtask/base/error.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/detail/dialing.hpp"
#include "dtask/node/detail/digest.hpp"
#include "dtask/node/detail/node_thread.hpp"
#include "dtask/node/detail/worker_node.hpp"
#include "dtask/process/parts/random_number.hpp"
#include "dtask/process/parts/self.hpp"

DTASK_BEGIN

struct worker::state {
  explicit state(duration polling) : thread(polling) {}
  std::mutex guard;
  std::condition_variable changed;
  std::optional<worker_exit> how;
  bool retired = false;
  bool clean = true;
  detail::node_thread thread;
  /// Set by the constructor and kept to the end: `drain` and `stop` come from any thread, also while the worker
  /// retires.
  std::shared_ptr<detail::worker_node> node;
};

DTASK_INLINE worker::worker(std::string_view coordinator, std::span<const job_entry> jobs,
                            const worker_options& given) {
  const net::url where = net::parse_url(coordinator).value();
  if (where.kind != net::url::scheme::tcp)
    throw error(errc::invalid_argument, "a worker connects to a coordinator that listens", {}, "write tcp://HOST:PORT");
  state_ = std::make_unique<state>(given.polling);
  control::identity who = detail::self_identity(
      wire::role::worker, given.name.empty() ? detail::default_worker_name() : std::string(given.name));
  who.slots = given.slots != 0 ? given.slots : usable_cores();
  who.cookie = given.cookie;
  who.jobs = detail::job_types(jobs);
  const control::worker_options options{given, &detail::xxh3_digest};
  state& s = *state_;
  s.node = std::make_shared<detail::worker_node>(s.thread.executor(), jobs, std::move(who), options,
                                                 detail::tcp_dialer(s.thread.executor(), where.at, options.limits),
                                                 detail::random_number());
  s.node->prepare();
  s.thread.post([&s, node = s.node] {
    node->when_ended([&s](worker_exit how) {
      const std::lock_guard hold(s.guard);
      s.how = std::move(how);
      s.changed.notify_all();
    });
    node->start();
  });
}
DTASK_INLINE worker::~worker() { retire(); }
DTASK_INLINE void worker::drain() {
  state_->thread.post([node = state_->node] { node->drain(); });
}
DTASK_INLINE void worker::stop() {
  state_->thread.post([node = state_->node] { node->stop(); });
}
DTASK_INLINE worker_exit worker::wait() {
  std::unique_lock hold(state_->guard);
  state_->changed.wait(hold, [this] { return state_->how.has_value(); });
  return *state_->how;
}
DTASK_INLINE bool worker::retire() {
  state& s = *state_;
  if (std::exchange(s.retired, true)) return s.clean;
  auto runner = s.thread.call([&s] { return s.node->take_down(); });
  s.clean = !runner || detail::job_runner::retire(std::move(runner));
  return s.clean;
}

DTASK_END
