#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/control/action.hpp"
#include "dtask/control/options.hpp"

DTASK_BEGIN
namespace control {

/// Decides for a worker. Events and `now` in, actions out; no clock, no socket, no thread.
///
/// The driver: after any number of events it swaps the actions out with `take_actions`, carries them out in order, tells `unsent` for every link on which it sent, and
/// repeats until there are none; then it calls `tick` at `next_tick()` at the latest.
class worker_state {
 public:
  /// `seed` only spreads the pauses between dials.
  worker_state(identity who, const worker_options& options, std::uint64_t seed);

  /// Begins: a dial follows.
  void start(time_point now);
  void connected(link_id link, time_point now);
  void dial_failed(const error& why, time_point now);
  void received(link_id link, wire::message&& what, time_point now);
  void closed(link_id link, const error& why, time_point now);
  /// Bytes queued on the link and not yet handed to the system: after sends were carried out, and when the link reports that it has drained.
  void unsent(link_id link, std::size_t bytes, time_point now);

  /// The end of an attempt that `run_job` started. `why.code` ok: the value is there. `why.place` is filled in here.
  void job_finished(std::uint64_t job, std::uint32_t fence, wire::failure why, payload value, time_point now);

  /// Orderly end: no new jobs, running ones may finish within `drain_within`; prefetched ones go back.
  void drain(time_point now);
  /// At once: stops what runs, says goodbye, exits.
  void stop(time_point now);

  void tick(time_point now);
  time_point next_tick() const noexcept;
  /// Swaps the actions since the last call into `out`, which is cleared first; its memory is used again.
  void take_actions(std::vector<worker_action>& out, time_point now);
};

}  // namespace control
DTASK_END
