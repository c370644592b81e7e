#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/base/retry_policy.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/options.hpp"

DTASK_BEGIN
namespace control {

/// A call as `client_state::submit` takes it.
struct call_request {
  std::uint32_t type = 0;  ///< position in the client's list of jobs
  effect effect_class = effect::at_most_once;
  bool watch = false;  ///< report `call_changed`
  duration deadline = default_deadline;
  duration no_worker_after = std::chrono::seconds(60);
  retry_policy retry;
  payload arguments;
};

/// Decides for a client (or an observer). Events and `now` in, actions out; no clock, no socket, no thread. Driven like `worker_state`.
class client_state {
 public:
  client_state(identity who, const client_options& options, std::uint64_t seed);

  void start(time_point now);
  void connected(link_id link, time_point now);
  void dial_failed(const error& why, time_point now);
  void received(link_id link, wire::message&& what, time_point now);
  void closed(link_id link, const error& why, time_point now);
  void unsent(link_id link, std::size_t bytes, time_point now);

  /// Whether `submit` takes a call now; where not, the action `room` tells when it does again.
  bool has_room() const noexcept;
  /// A new call; exactly one `complete` with the returned number follows, whatever happens. It waits here for credit.
  /// Precondition: `has_room()`, not closed.
  std::uint64_t submit(call_request request, time_point now);
  /// The result is not wanted any more: `complete` follows, `cancelled` or with what was already there, at most `cancel_within` later.
  void cancel(std::uint64_t call, time_point now);
  /// A value for all workers that run jobs of this session; `broadcast_complete` with the returned number follows. Calls submitted later see it, or a newer one of the name.
  std::uint64_t broadcast(std::string name, bytes value, time_point now);
  /// The coordinator's status; `status_arrived` with the returned number follows within `status_within`.
  std::uint64_t query_status(time_point now);

  /// Orderly end: no new calls, cancels the open ones and waits at most `close_within` for their ends, then `closed`.
  void close(time_point now);
  /// At once: completes everything here as cancelled, says goodbye, `closed`.
  void abandon(time_point now);

  void tick(time_point now);
  time_point next_tick() const noexcept;
  void take_actions(std::vector<client_action>& out, time_point now);
};

}  // namespace control
DTASK_END
