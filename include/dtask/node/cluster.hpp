// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "dtask/base/bytes.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/caller.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/node/detail/make_backend.hpp"
#include "dtask/task/one_shot.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// A cluster as a client sees it: workers somewhere, and a coordinator that places jobs on them.
///
/// Move-only. Thread safety: calls and broadcasts from any thread; `close`, moving and destroying from one. It outlives
/// the tasks that it made.
class cluster : public caller {
 public:
  /// Joins a cluster as a client with the jobs of `Registry`: `tcp://HOST:PORT` a coordinator that runs there,
  /// `local://N` everything in this process with N slots, `spawn://N` N worker processes started by this one
  /// (`options.command` names the program). `executor` is the Asio executor or scheduler of the caller; links have a
  /// thread of their own, so that nothing that the caller does delays a heartbeat, and results come back to where the
  /// awaiting task runs. `auto c = co_await dtask::cluster::connect<jobs>(executor, "tcp://host:7700");`, or with any
  /// Asio completion token `dtask::co_spawn(executor, dtask::cluster::connect<jobs>(executor, url), token)`. Errors:
  /// `invalid_argument` (the address, options of the coordinator that contradict each other), `unreachable` after
  /// `options.client.connect_within`, `refused`, `version_mismatch`, `io_error` (a process that cannot be started).
  template <class Registry, class Executor>
  static task<cluster> connect(const Executor& executor, std::string_view url, const cluster_options& options = {}) {
    static_cast<void>(executor);
    return begin<Registry>(url, options);
  }

  cluster(cluster&&) noexcept = default;
  cluster& operator=(cluster&&) = delete;
  /// Without `close` before: cancels what is under way, tells the coordinator goodbye as far as that goes at once, and
  /// waits for this process's own threads and children.
  ~cluster() = default;

  /// Makes a value known to all workers of this client's jobs, late joiners included, each of which receives it once;
  /// job objects read it with `worker_context::blob`. Returns when the coordinator holds the verified value; jobs
  /// submitted from then on see it, and objects that had read an older value of that name are made anew. Throws
  /// `error`: `too_large` over the coordinator's limit, `coordinator_lost`, `cancelled` under stop (the value may still
  /// arrive).
  task<> broadcast(std::string name, bytes value) {
    auto pending = std::make_shared<detail::pending_broadcast>();
    pending->name = std::move(name);
    pending->value = std::move(value);
    return finish_broadcast(client_, std::move(pending));
  }

  /// What the coordinator counts: workers, slots, jobs by state, bytes. Throws `error` where no answer comes within
  /// `client_options::status_within`.
  task<wire::status_report> status() { return finish_status(client_, std::make_shared<detail::pending_status>()); }

  /// Orderly end: cancels what is under way, waits for the ends (at most `client_options::close_within`), says goodbye,
  /// then ends the workers and the coordinator of local:// and spawn://. Awaited as `co_await c.close()`, also under
  /// stop, which does not end it. Throws nothing.
  auto close() { return shield(finish_close(core_)); }
  /// The worker processes of spawn:// that live now.
  std::vector<std::uint32_t> worker_pids() const { return core_ ? core_->pids() : std::vector<std::uint32_t>(); }

 private:
  cluster(std::shared_ptr<detail::cluster_backend> core, std::span<const job_entry> entries, const codec_limits& limits)
      : caller(core->client(), entries, limits), core_(std::move(core)) {}

  template <class Registry>
  static task<cluster> begin(std::string_view url, const cluster_options& options) {
    codec_limits limits;
    limits.payload = options.client.limits.payload;
    limits.blobs = options.client.limits.blobs;
    std::shared_ptr<detail::cluster_backend> core;
    std::exception_ptr failed;
    try {
      // At once, since the options' views may not outlive the caller's expression.
      core = detail::make_backend(url, wire::role::client, Registry::entries(), options);
    } catch (...) {
      failed = std::current_exception();
    }
    return finish_connect(std::move(core), failed, Registry::entries(), limits);
  }
  template <class = void>
  static task<cluster> finish_connect(std::shared_ptr<detail::cluster_backend> core, std::exception_ptr failed,
                                      std::span<const job_entry> entries, codec_limits limits) {
    if (failed) std::rethrow_exception(failed);
    error why;
    try {
      why = co_await core->client()->connected.wait();
    } catch (...) {
      failed = std::current_exception();
    }
    if (!failed && !why) co_return cluster(std::move(core), entries, limits);
    auto ending = finish_close(core);
    auto kept = shield(std::move(ending));
    co_await std::move(kept);
    if (failed) std::rethrow_exception(failed);
    throw why;
  }
  template <class = void>
  static task<> finish_broadcast(std::shared_ptr<detail::client_port> client,
                                 std::shared_ptr<detail::pending_broadcast> pending) {
    client->broadcast(pending);
    const wire::failure why = co_await pending->done.wait();
    if (why.code != errc::ok) throw error(why.code, why.message, why.place, why.remedy);
  }
  template <class = void>
  static task<wire::status_report> finish_status(std::shared_ptr<detail::client_port> client,
                                                 std::shared_ptr<detail::pending_status> pending) {
    client->query_status(pending);
    auto report = co_await pending->done.wait();
    co_return std::move(report).value();
  }
  template <class = void>
  static task<> finish_close(std::shared_ptr<detail::cluster_backend> core) {
    core->client()->close(false);
    co_await core->client()->closed.wait();
    // Threads and children are waited for, which blocks: not on the caller's scheduler.
    one_shot<> down;
    std::thread([&] {
      core->take_down();
      down.set();
    }).detach();
    co_await down.wait();
  }

  std::shared_ptr<detail::cluster_backend> core_;
};

DTASK_END
