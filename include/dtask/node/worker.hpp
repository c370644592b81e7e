#pragma once
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/options.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/detail/dialing.hpp"
#include "dtask/node/detail/digest.hpp"
#include "dtask/node/detail/node_thread.hpp"
#include "dtask/node/detail/random_number.hpp"
#include "dtask/node/detail/self.hpp"
#include "dtask/node/detail/worker_node.hpp"

DTASK_BEGIN

/// A worker of this process: runs jobs for a coordinator, on threads of its own, one per slot.
///
/// It reconnects by itself, and keeps running its jobs meanwhile. Thread safety: all members from any thread but the destructor.
class worker {
 public:
  /// Starts it. `jobs`: `registry<...>::entries()`. `slots`: jobs at once; 0: one per core. `cookie`: what the coordinator asks for; 0: nothing.
  worker(const net::host_port& coordinator, std::span<const job_entry> jobs, std::uint32_t slots = 0, std::string name = {}, std::uint64_t cookie = 0, control::worker_options options = {}) {
    options.digest = &detail::xxh3_digest;
    control::identity who = detail::self_identity(wire::role::worker, std::move(name));
    who.slots = slots != 0 ? slots : std::max(1u, std::thread::hardware_concurrency());
    who.cookie = cookie;
    who.jobs = detail::job_types(jobs);
    node_ = std::make_shared<detail::worker_node>(thread_.executor(), jobs, std::move(who), options, detail::tcp_dialer(thread_.executor(), coordinator, options.limits),
                                                  detail::random_number());
    thread_.post([this, node = node_] {
      node->when_ended([this](control::exit how) {
        const std::lock_guard hold(guard_);
        how_ = std::move(how);
        changed_.notify_all();
      });
      node->start();
    });
  }
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;
  /// Ends at once where it has not ended. Jobs that ignore stop keep their threads until the process ends.
  ~worker() { retire(); }

  /// Takes no new jobs, finishes the running ones within `drain_within`, leaves; then `wait` returns.
  void drain() {
    thread_.post([node = node_] { node->drain(); });
  }
  /// Stops the running jobs and leaves.
  void stop() {
    thread_.post([node = node_] { node->stop(); });
  }
  /// Until it has ended: because it was told to, was refused, found no coordinator in time, or has no slot left.
  control::exit wait() {
    std::unique_lock hold(guard_);
    changed_.wait(hold, [this] { return how_.has_value(); });
    return *how_;
  }
  /// Takes everything down. False: jobs that ignore stop were left behind, and their threads still run.
  bool retire() {
    if (!node_) return clean_;
    auto runner = thread_.call([this] { return node_->take_down(); });
    node_.reset();
    clean_ = !runner || detail::job_runner::retire(std::move(runner));
    return clean_;
  }

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  std::optional<control::exit> how_;
  bool clean_ = true;
  detail::node_thread thread_;
  std::shared_ptr<detail::worker_node> node_;
};

DTASK_END
