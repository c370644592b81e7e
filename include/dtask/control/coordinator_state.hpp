#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/options.hpp"

DTASK_BEGIN
namespace control {

/// Decides for the coordinator. Events and `now` in, actions out; no clock, no socket, no thread. Driven like `worker_state`.
class coordinator_state {
 public:
  /// `seed` gives the epoch and the keys of sessions: it must differ between starts and be hard to guess.
  coordinator_state(const coordinator_options& options, std::uint64_t seed, time_point now);

  /// A connection was accepted. `peer`: its address for people. `trusted`: it needs no cookie (a pipe inside the process).
  void opened(link_id link, std::string peer, bool trusted, time_point now);
  void received(link_id link, wire::message&& what, time_point now);
  void closed(link_id link, const error& why, time_point now);
  void unsent(link_id link, std::size_t bytes, time_point now);
  /// A launcher saw the process of a worker of this host end; `how`: `killed by signal 9`, with the tail of its stderr where known. Its jobs are placed again at once.
  void process_ended(std::uint32_t pid, std::string how, time_point now);

  /// Orderly end: no new jobs, the accepted ones may end within `drain_within`, workers are told to leave; then `stopped`.
  void drain(time_point now);
  /// At once: goodbye to all, `stopped`.
  void stop(time_point now);

  void tick(time_point now);
  time_point next_tick() const noexcept;
  void take_actions(std::vector<coordinator_action>& out);

  /// Counters of jobs, queues and bytes, and all workers.
  wire::status_report report(time_point now) const;
};

}  // namespace control
DTASK_END
