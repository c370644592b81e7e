// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/log.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/base/worker_exit.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/message.hpp"
#include "dtask/wire/one_of.hpp"

DTASK_BEGIN
namespace control {

/// Names a connection between a driver (node/ or sim/) and a state machine. The driver chooses it and never uses one
/// twice.
using link_id = std::uint64_t;

// ---- what every machine may ask of its driver; actions are carried out in the order in which they stand ----

/// Queue this message on the link. A link that is gone swallows it.
struct send {
  link_id link = 0;
  wire::message what;
};
/// From now on these limits hold on the link, for what is received too.
struct set_limits {
  link_id link = 0;
  wire::limits agreed;
};
/// End the link: `now` drops what is queued, else it is written first. `closed(link, ...)` is still reported to the
/// machine afterwards and is ignored there.
struct close_link {
  link_id link = 0;
  error why;
  bool now = false;
};
/// One event for the log.
struct note {
  log_level level = log_level::info;
  std::string_view event;  ///< a fixed name with static storage
  std::string text;
};

// ---- the coordinator ----

/// The coordinator has ended in order: nothing follows, the driver may go.
struct stopped {};

using coordinator_action = wire::one_of<send, set_limits, close_link, note, stopped>;

// ---- worker and client ----

/// Make a connection to the coordinator; `connected` or `dial_failed` is the answer. At most one dial is under way.
struct dial {};

// ---- the worker ----

/// Run an attempt in this slot. All sends that stand before it must be handed to the system first: a job that kills its
/// process must have been reported as started. Exactly one `job_finished` with the same job and fence is the answer,
/// however long it takes.
struct run_job {
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
  std::uint32_t slot = 0;     ///< 0 ... slots - 1; free until this action
  std::uint32_t type = 0;     ///< position in the worker's list of jobs
  std::uint64_t session = 0;  ///< the client session for which it runs: its job objects and broadcasts are its own
  std::uint32_t attempt = 1;
  effect effect_class = effect::at_most_once;
  time_point deadline = never;
  payload arguments;
};
/// Ask a running attempt to stop (its stop token). `job_finished` still comes.
struct stop_job {
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
  errc why = errc::cancelled;
};
/// A value is held and verified; jobs of this session that are started from now on see it. It replaces an older version
/// of the same name.
struct blob_available {
  std::uint64_t session = 0;
  std::uint64_t number = 0;  ///< serves as the version
  std::string name;
  bytes value;
};
/// There is a value of this name, which a `fetch` event brings here: one of an older version is forgotten.
struct blob_announced {
  std::uint64_t session = 0;
  std::uint64_t number = 0;
  std::string name;
};
/// There is no value of this name any more.
struct blob_withdrawn {
  std::uint64_t session = 0;
  std::string name;
};
/// The one answer to a `fetch`: the value is there, by a `blob_available` before this, or why not.
struct fetched {
  std::uint64_t request = 0;
  std::uint64_t session = 0;
  std::string name;
  wire::failure why;
};
/// Forget the session's broadcasts and job objects, once none of its jobs runs here any more.
struct session_ended {
  std::uint64_t session = 0;
};
/// The worker has ended: nothing follows.
using exit = worker_exit;
using dtask::exit_reason;

using worker_action = wire::one_of<send, set_limits, close_link, note, dial, run_job, stop_job, blob_available,
                                   blob_announced, blob_withdrawn, fetched, session_ended, exit>;

// ---- the client ----

/// The first welcome has come (`resumed` false), or a later one after a break.
struct online {
  std::uint64_t epoch = 0;
  bool resumed = false;
};
/// No coordinator: the first connection could not be made in time, was refused, or the coordinator has been away for
/// longer than the stated time. New calls end with this error until `online` comes again. With `final`, nothing follows
/// but `closed`.
struct offline {
  error why;
  bool final = false;
};
/// There was room for the call: it is on its way. Not given where it ends before.
struct accepted {
  std::uint64_t call = 0;
};
/// The one end of a call.
struct complete {
  std::uint64_t call = 0;
  wire::failure why;  ///< code ok: the value is there
  payload value;
  std::uint32_t attempts = 0;
  std::string worker;
};
/// A watched call changed its state.
struct call_changed {
  std::uint64_t call = 0;
  wire::job_state now = wire::job_state::queued;
  std::uint32_t attempt = 0;
};
/// The coordinator holds the verified value, or why not.
struct broadcast_complete {
  std::uint64_t number = 0;
  wire::failure why;
};
struct status_arrived {
  std::uint64_t request = 0;
  error why;  ///< set where no report came
  cluster_status report;
};
/// The client has ended: every call and broadcast has been completed before it, nothing follows.
struct closed {};

using client_action = wire::one_of<send, set_limits, close_link, note, dial, online, offline, accepted, complete,
                                   call_changed, broadcast_complete, status_arrived, closed>;

}  // namespace control
DTASK_END
