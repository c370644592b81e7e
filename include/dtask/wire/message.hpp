// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dtask/base/blob_kind.hpp"
#include "dtask/base/bytes.hpp"
#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/effect.hpp"
#include "dtask/base/error.hpp"
#include "dtask/base/failure.hpp"
#include "dtask/base/job_state.hpp"
#include "dtask/base/payload.hpp"
#include "dtask/base/retry_policy.hpp"
#include "dtask/wire/limits.hpp"
#include "dtask/wire/one_of.hpp"

DTASK_BEGIN
namespace wire {

/// What a peer is to the coordinator. An observer may only ask for the status.
enum class role : std::uint8_t { client = 0, worker = 1, observer = 2 };

/// A job that a peer knows: the name with its version, the hash over the argument and result types, and those types in
/// words for the error of a mismatch.
struct job_type {
  std::string name;
  std::uint64_t schema = 0;
  std::string signature;
  friend bool operator==(const job_type&, const job_type&) = default;
};

/// XXH3-128 of a broadcast value.
using digest = std::array<std::uint64_t, 2>;

/// A payload inside a message: whole, or announced. An announced one (`transfer != 0`) has its parts' lengths here, the
/// body's first and then each blob's, and its bytes follow in `chunk` messages of the same link and direction, in
/// order, possibly between other messages.
struct carried {
  payload whole;
  std::uint64_t transfer = 0;  ///< unique among the open transfers of this link and direction; 0: nothing follows
  std::vector<std::uint64_t> lengths;  ///< of an announced payload: body, blobs...
};

using dtask::blob_kind;
using dtask::failure;
using dtask::job_state;
using dtask::worker_status;

// ---- every link ----

/// The first message of the one who connects.
struct hello {
  std::uint16_t version_min = protocol_version;
  std::uint16_t version_max = protocol_version;
  wire::role role = wire::role::client;
  wire::limits limits;
  std::string name;  ///< of the program or worker, for people
  std::string host;
  std::uint32_t pid = 0;
  std::uint32_t slots = 0;    ///< worker: jobs that it runs at once
  std::uint64_t session = 0;  ///< client: the session to resume; worker: its former id; 0: a new one
  std::uint64_t key = 0;      ///< the secret that came with that session
  std::uint64_t epoch = 0;    ///< of the coordinator that gave the session
  std::uint64_t cookie = 0;   ///< proves a child of spawn://; 0: none
  std::vector<job_type>
      jobs;  ///< what it runs (worker) or may submit (client); messages name a job by its position here
  struct running_job {
    std::uint64_t job = 0;
    std::uint32_t fence = 0;
    bool started = false;  ///< its code ran, or has ended with a result that waits
  };
  std::vector<running_job> running;  ///< worker that reconnects: what it still runs or has a result of
};

/// The coordinator's answer to a hello that it accepts.
struct welcome {
  std::uint16_t version = protocol_version;
  wire::limits limits;        ///< the smaller of both sides
  std::uint64_t epoch = 0;    ///< drawn anew at each start of the coordinator
  std::uint64_t session = 0;  ///< client session or worker id
  std::uint64_t key = 0;      ///< needed to resume it
  bool resumed = false;       ///< whether the state of the named session is still there
  duration heartbeat{};       ///< how often the peer must be heard from
  duration lost_after{};      ///< silence after which the coordinator counts the peer as lost
  std::uint64_t credit = 0;   ///< bytes that the peer may send before the first `credit`
  std::uint64_t window = 0;   ///< all the credit there is: a job whose cost is above it can never be sent
};

/// The last message of a link that one side will not go on with.
struct refuse {
  errc code = errc::refused;
  std::string text;
};

/// An orderly end: the sender closes the link after it. From a worker: it has drained.
struct goodbye {
  std::string reason;
};

/// Answered at once with a `pong` of the same stamp.
struct ping {
  std::uint64_t stamp = 0;
};
struct pong {
  std::uint64_t stamp = 0;
};

/// The next piece of an announced payload, `offset` bytes into the concatenation of its parts. A chunk never crosses
/// from one part into the next.
struct chunk {
  std::uint64_t transfer = 0;
  std::uint64_t offset = 0;
  bytes data;
  /// Length of the part in which it lies, as announced, and how many bytes of that part came before it: hints for where
  /// to receive it. 0 and 0: not said.
  std::uint64_t part = 0;
  std::uint64_t within = 0;
};
/// The rest of an announced payload does not come; what came is void.
struct abort_transfer {
  std::uint64_t transfer = 0;
  failure why;
};
/// The sender has room for this many more bytes of payload.
struct credit {
  std::uint64_t bytes = 0;
};

// ---- client and coordinator ----

/// client → coordinator: run a job.
struct submit {
  std::uint64_t call = 0;  ///< unique in the session
  std::uint32_t job = 0;   ///< position in the client's hello
  effect effect_class = effect::at_most_once;
  bool watch = false;            ///< send a `state` at each change
  std::uint32_t attempts = 0;    ///< attempts already known to have been spent (resubmission after a lost coordinator)
  std::uint64_t broadcasts = 0;  ///< number of broadcasts of this session that the job must see
  duration remaining = default_deadline;  ///< until its deadline; no_deadline: none
  duration no_worker_after =
      std::chrono::seconds(60);  ///< time without any worker for this job until it ends with no_worker
  retry_policy retry;
  carried arguments;
};
/// client → coordinator: this call's result is no longer wanted; a result still comes, `cancelled` or what was already
/// there.
struct cancel {
  std::uint64_t call = 0;
};
/// coordinator → client: the one terminal state of a call.
struct result {
  std::uint64_t call = 0;
  failure why;                 ///< code ok: the value is carried
  std::uint32_t attempts = 0;  ///< executions that were started or lost
  std::string worker;          ///< the one that answered, as host/name#id
  carried value;
};
/// coordinator → client: a watched call changed its state.
struct state {
  std::uint64_t call = 0;
  job_state now = job_state::queued;
  std::uint32_t attempt = 0;
};
/// The receiver of these results has them, the sender may forget them: the calls of a client (a resumed session gets
/// unacknowledged results again), or the jobs of a worker (one that reconnects sends unacknowledged results again).
struct acknowledge {
  std::vector<std::uint64_t> calls;
};
/// client → coordinator: a value for the workers of this session's jobs, or the end of one.
struct broadcast {
  std::uint64_t number = 0;  ///< 1, 2, 3... within the session
  blob_kind kind = blob_kind::broadcast;
  std::string name;
  digest hash{};
  carried value;
};
/// coordinator → client: it holds the verified value, or why not.
struct broadcast_done {
  std::uint64_t number = 0;
  failure why;
};

// ---- worker and coordinator ----

/// coordinator → worker: a lease to run one attempt.
struct run {
  std::uint64_t job = 0;      ///< the coordinator's id of the job
  std::uint32_t fence = 0;    ///< counts the leases of this job; comes back with everything about this one
  std::uint32_t attempt = 1;  ///< executions that were started before, plus one
  std::uint32_t type = 0;     ///< position in the worker's hello
  std::uint64_t session = 0;
  effect effect_class = effect::at_most_once;
  std::uint64_t broadcasts = 0;  ///< start only when this many broadcasts of the session are held
  duration remaining = default_deadline;
  carried arguments;
};
/// coordinator → worker: stop it; a `done` still comes.
struct stop {
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
};
/// coordinator → worker: give a job back that has not started.
struct recall {
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
};
/// worker → coordinator: given back, not started.
struct returned {
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
};
/// worker → coordinator: the job's code is about to run.
struct started {
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
};
/// worker → coordinator: the end of one attempt.
struct done {
  std::uint64_t job = 0;
  std::uint32_t fence = 0;
  failure why;
  carried value;
};
/// worker → coordinator: how many slots can take jobs, and how many are held by jobs that ignore stop.
struct slots {
  std::uint32_t usable = 0;
  std::uint32_t lost = 0;
};
/// coordinator → worker: a value of a session, or that there is one, or none any more. Values are there in `broadcast`
/// and `fetched` ones.
struct blob {
  std::uint64_t session = 0;
  std::uint64_t number = 0;
  blob_kind kind = blob_kind::broadcast;
  std::string name;
  digest hash{};
  carried value;
};
/// worker → coordinator, about one that was broadcast or withdrawn: held and verified, or forgotten, or why not.
struct blob_done {
  std::uint64_t session = 0;
  std::uint64_t number = 0;
  failure why;
};
/// coordinator → worker: forget this client session, its broadcasts and its job objects.
struct end_session {
  std::uint64_t session = 0;
};
/// Either way between coordinator and worker: take no new jobs, finish the running ones, then say goodbye.
struct drain {};

/// worker → coordinator: send the newest value that was published under this name; a `blob` or `fetch_failed` follows.
struct fetch {
  std::uint64_t session = 0;
  std::string name;
};
/// coordinator → worker: why it sends no value of this name.
struct fetch_failed {
  std::uint64_t session = 0;
  std::string name;
  failure why;
};

/// coordinator → client, after a welcome that resumed a session: the calls that it holds, whole. Those that are missing
/// when `last` has come were lost on the way.
struct known_calls {
  std::vector<std::uint64_t> calls;
  bool last = true;
};

/// worker → coordinator, now and then: what it holds.
struct usage {
  memory_use now;
};

// ---- observers ----

struct status_query {
  std::uint64_t request = 0;
};
/// coordinator → observer or client: the answer.
struct status_report {
  std::uint64_t request = 0;
  cluster_status now;
};

/// Everything that can stand in a frame. The frame's type is the position here plus one: append only, never reorder.
using message =
    one_of<hello, welcome, refuse, goodbye, ping, pong, chunk, abort_transfer, credit, submit, cancel, result, state,
           acknowledge, broadcast, broadcast_done, run, stop, recall, returned, started, done, slots, blob, blob_done,
           end_session, drain, status_query, status_report, known_calls, usage, fetch, fetch_failed>;

}  // namespace wire
DTASK_END
