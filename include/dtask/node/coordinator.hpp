// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/options.hpp"
#include "dtask/net/url.hpp"

DTASK_BEGIN

/// A coordinator that listens: it routes bytes and knows no job types, so it serves any program.
///
/// Runs on a thread of its own from construction to `wait`. Thread safety: all members from any thread but the
/// destructor.
class coordinator {
 public:
  /// Listens at `at` (port 0: any free one). `beyond_loopback`: addresses that other machines reach are allowed; there
  /// is no authentication, so whoever reaches the port can run jobs. `polling`: how long its thread looks for events
  /// before it sleeps, where nobody else wants its core; shortens round trips, costs a core. At most 50 us is sensible.
  /// Throws `error`: `invalid_argument` for an address beyond loopback that is not allowed and for options that
  /// contradict each other (`heartbeat < suspect_after <= lost_after`), `io_error` for one that cannot be listened on,
  /// as a port in use.
  explicit coordinator(const net::host_port& at, bool beyond_loopback = false,
                       control::coordinator_options options = {}, duration polling = duration::zero());
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;
  /// Ends at once where it has not ended.
  ~coordinator();

  /// Where it listens, with the port that it got.
  net::host_port address();
  /// Takes no new jobs, lets the accepted ones end within `drain_within`, sends the workers home; then `wait` returns.
  void drain();
  /// Ends without waiting for jobs.
  void stop();
  /// Jobs, queues, bytes and workers.
  wire::status_report status();
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
