// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/coordinator_options.hpp"

DTASK_BEGIN

/// A coordinator that listens: it routes bytes and knows no job types, so it serves any program.
///
/// Runs on a thread of its own from construction to `wait`. Thread safety: all members from any thread but the
/// destructor.
class coordinator {
 public:
  /// Listens at `HOST:PORT` or `tcp://HOST:PORT` (port 0: any free one). Throws `error`: `invalid_argument` for what is
  /// no address, for one beyond loopback without `options.beyond_loopback`, and for options that contradict each other
  /// (`heartbeat < suspect_after <= lost_after`); `io_error` for one that cannot be listened on, as a port in use.
  /// Throws std::system_error where the system has no thread or descriptor left.
  explicit coordinator(std::string_view listen = "127.0.0.1:0", const coordinator_options& options = {});
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;
  /// Ends at once where it has not ended.
  ~coordinator();

  /// Where it listens, with the port that it got, as workers and clients write it: `tcp://HOST:PORT`.
  std::string url();
  /// Lets the accepted jobs end within `drain_within` and begins no new ones; then `wait` returns. Clients and workers
  /// go on with another coordinator at the same address, if one comes in time: what was not begun and what may run
  /// twice is run there. With `send_home` the workers leave instead.
  void drain();
  /// Ends without waiting for jobs; otherwise like `drain`, but that the workers stay.
  void stop();
  /// Jobs, queues, bytes and workers.
  cluster_status status();
  /// Until it has ended after `drain` or `stop`.
  void wait();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/coordinator.ipp"
#endif
