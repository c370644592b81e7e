// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dtask/base/blob_kind.hpp"
#include "dtask/base/bytes.hpp"
#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/caller.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {
class cluster_backend;
}

/// A cluster as a client sees it: workers somewhere, and a coordinator that places jobs on them.
///
/// Move-only. Default-constructed or moved from it is not connected: what it is asked for ends with `error(closed)`,
/// and `close` has nothing to do. Thread safety: calls and broadcasts from any thread; `close`, moving and destroying
/// from one. It outlives the tasks that it made.
class cluster : public caller {
 public:
  /// Joins a cluster as a client with the jobs of `Registry`: `tcp://HOST:PORT` a coordinator that runs there,
  /// `local://N` everything in this process with N slots, `spawn://N` N worker processes started by this one
  /// (`options.command` names the program). Links have a thread of their own, so that nothing that the caller does
  /// delays a heartbeat, and results come back to where the awaiting task runs. `auto c = co_await
  /// dtask::cluster::connect<jobs>("tcp://host:7700");`, or with any Asio completion token
  /// `dtask::co_spawn(executor, dtask::cluster::connect<jobs>(url), token)`.
  /// `url` and the views of `options` are read at once. Errors: `invalid_argument` (the address, options of the
  /// coordinator that contradict each other, a call from a worker's job without `options.inside_jobs`: known by the
  /// worker's threads, not where the job has gone to a thread of its own; spawn:// in a process that spawn:// started
  /// and that did not become a worker, `take_spawned`), `unreachable` after
  /// `options.client.connect_within`, `refused`, `version_mismatch`, `protocol_error` (no dtask listens there),
  /// `io_error` (a process that cannot be started, or the system has no thread or descriptor left).
  template <class Registry>
  static task<cluster> connect(std::string_view url, const cluster_options& options = {}) {
    return connect_with(url, options, Registry::entries());
  }
  /// The same with a list of jobs: `registry<...>::entries()`, which lives as long as the program.
  static task<cluster> connect_with(std::string_view url, const cluster_options& options,
                                    std::span<const job_entry> jobs);

  /// Not connected.
  cluster() noexcept = default;
  /// Takes the connection over; what is moved from is not connected.
  cluster(cluster&&) noexcept = default;
  /// What was there before ends as with the destructor.
  cluster& operator=(cluster&&) noexcept = default;
  /// Without `close` before: cancels what is under way, tells the coordinator goodbye as far as that goes at once, and
  /// waits for this process's own threads and children.
  ~cluster() = default;

  /// Makes a value known to all workers of this client's jobs, late joiners included, each of which receives it once;
  /// jobs read it with `job_context::blob`, their objects with `worker_context::blob`. It is handed over at the
  /// call: jobs submitted afterwards see it, also before the task has been awaited, which ends when the coordinator
  /// holds the verified value. Objects that had read an older value of that name are made anew. Throws, from the task,
  /// `error`: `too_large` over the coordinator's limit, `coordinator_lost`, `closed`, `cancelled` under stop (the value
  /// may still arrive).
  task<> broadcast(std::string name, bytes value);

  /// The same for values of which each worker needs some, as the shards of a dataset: the workers are told of it, and
  /// those whose jobs ask (`co_await ctx.fetch(name)`) receive it, each once, at least the version that was published
  /// before the job was submitted. The coordinator holds it, under the same limit.
  task<> publish(std::string name, bytes value);
  /// Ends what `broadcast` or `publish` began: jobs submitted from then on find no value of that name, and coordinator
  /// and workers let the bytes go; jobs that have them keep them to their ends. A name without a value is no error.
  task<> withdraw(std::string name);

  /// What the coordinator counts: workers, slots, jobs by state, bytes. Throws `error` where no answer comes within
  /// `client_options::status_within`.
  task<cluster_status> status();

  /// Orderly end: cancels what is under way, waits for the ends (at most `client_options::close_within`), says goodbye,
  /// then ends the workers and the coordinator of local:// and spawn://, which takes at most 6 s more; workers that
  /// joined by `options.listen` are sent home. Job objects are destroyed before it returns; one whose destructor has
  /// not returned 2.5 s after its worker was told to end is left behind: with local:// its destructor goes on in a
  /// thread of this process, which keeps what the worker's jobs held until the process ends, and with spawn:// it ends
  /// with its process. Awaited as `co_await c.close()`, also under stop, which does not end it. Throws nothing.
  auto close() { return shield(finish()); }
  /// The worker processes of spawn:// that live now.
  std::vector<std::uint32_t> worker_pids() const;
  /// Where the coordinator of this process listens, `tcp://HOST:PORT`; empty where it does not
  /// (`cluster_options::listen`).
  std::string address() const;
  /// What this client holds of payloads, and its process: `status()` says it of the coordinator and the workers. Waits
  /// for the links' thread, some microseconds. Zeros where it is not connected. From any thread.
  memory_use memory() const;

 private:
  cluster(std::shared_ptr<detail::cluster_backend> core, std::span<const job_entry> entries,
          const codec_limits& limits);
  template <class>
  static task<cluster> await_welcome(std::shared_ptr<detail::cluster_backend> core, std::exception_ptr failed,
                                     std::span<const job_entry> entries, codec_limits limits);
  task<> name_value(blob_kind kind, std::string name, bytes value);
  task<> finish();

  std::shared_ptr<detail::cluster_backend> core_;
};

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/cluster.ipp"
#endif
