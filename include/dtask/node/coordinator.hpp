#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/options.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/detail/coordinator_node.hpp"
#include "dtask/node/detail/digest.hpp"
#include "dtask/node/detail/node_thread.hpp"
#include "dtask/node/detail/random_number.hpp"

DTASK_BEGIN

/// A coordinator that listens: it routes bytes and knows no job types, so it serves any program.
///
/// Runs on a thread of its own from construction to `wait`. Thread safety: all members from any thread but the destructor.
class coordinator {
 public:
  /// Listens at `at` (port 0: any free one). `beyond_loopback`: addresses that other machines reach are allowed; there is no authentication, so whoever reaches the port can run jobs.
  /// Throws `error`: `invalid_argument` for an address beyond loopback that is not allowed, `io_error` for one that cannot be listened on, as a port in use.
  explicit coordinator(const net::host_port& at, bool beyond_loopback = false, control::coordinator_options options = {}) {
    options.digest = &detail::xxh3_digest;
    node_ = std::make_shared<detail::coordinator_node>(thread_.executor(), options, detail::random_number());
    if (const error bad = thread_.call([&] { return node_->listen(at, beyond_loopback); })) {
      thread_.call([this] { node_->take_down(); });
      throw bad;
    }
    thread_.post([this, node = node_] {
      node->when_ended([this] {
        const std::lock_guard hold(guard_);
        ended_ = true;
        changed_.notify_all();
      });
    });
  }
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;
  /// Ends at once where it has not ended.
  ~coordinator() {
    thread_.call([this] { node_->take_down(); });
    node_.reset();
  }

  /// Where it listens, with the port that it got.
  net::host_port address() {
    return thread_.call([this] { return node_->address(); });
  }
  /// Takes no new jobs, lets the accepted ones end within `drain_within`, sends the workers home; then `wait` returns.
  void drain() {
    thread_.post([node = node_] { node->drain(); });
  }
  /// Ends without waiting for jobs.
  void stop() {
    thread_.post([node = node_] { node->stop(); });
  }
  /// Jobs, queues, bytes and workers.
  wire::status_report status() {
    return thread_.call([this] { return node_->status(); });
  }
  /// Until it has ended after `drain` or `stop`.
  void wait() {
    std::unique_lock hold(guard_);
    changed_.wait(hold, [this] { return ended_; });
  }

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  bool ended_ = false;
  detail::node_thread thread_;
  std::shared_ptr<detail::coordinator_node> node_;
};

DTASK_END
