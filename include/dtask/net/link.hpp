// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/link.hpp"

DTASK_BEGIN
namespace net {

/// Links live on io_context threads, one thread each, without strands.
using executor = boost::asio::io_context::executor_type;

/// What a link is told at its start.
struct link_options {
  wire::limits limits;                             ///< what this side offers in its hello or welcome
  duration close_grace = std::chrono::seconds(2);  ///< how long `close` waits for the peer to take what is queued
};

/// A real connection: over TCP, or a pipe inside the process.
///
/// Thread safety: used only on the thread that runs its io_context, which must outlive it. Destroying a link ends the
/// connection at once, without a `closed` event. It may be destroyed inside any of its events.
class link : public wire::link {
 public:
  /// Begins to receive, and to report to `events`, which must stay until `closed` has been reported or the link is
  /// destroyed. Call it once.
  virtual void start(wire::link_events& events) = 0;
  /// Bytes of memory that it holds: what is queued and not yet sent, and its receive buffer.
  virtual std::size_t buffered_bytes() const noexcept = 0;
};

/// Bytes that all links of the process have sent and received so far. Thread-safe.
inline std::atomic<std::uint64_t> moved_bytes{0};

}  // namespace net
DTASK_END
