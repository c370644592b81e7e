// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "dtask/base/client_options.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/coordinator_options.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/worker_options.hpp"
#include "dtask/node/call_options.hpp"

DTASK_BEGIN

/// How a program takes part in a cluster.
struct cluster_options {
  std::string_view name = {};  ///< of this client in the coordinator's log; empty: the program's
  std::uint32_t slots = 1;     ///< of each worker process that spawn:// starts: the jobs that it runs at once
  /// Of spawn://: the program that plays the role worker (`worker_role`, where its first argument, or the first after
  /// `arguments`, is `worker`); `dtask::main` gives its own.
  std::string_view command = {};
  std::span<const std::string_view> arguments = {};  ///< of that program, before the ones of the role
  std::uint64_t cookie = 0;  ///< what a coordinator asks its peers for, that of `listen` too; 0: nothing
  /// How long the thread of the links looks for events before it sleeps, where nobody else wants its core: shortens
  /// round trips, costs a core; at most 50 us is sensible.
  duration polling = duration::zero();
  /// Lets a job connect. It holds its slot while it waits: where all slots of a cluster are held by jobs that wait for
  /// jobs of that cluster, nothing goes on until their deadlines.
  bool inside_jobs = false;
  /// With local://: `HOST:PORT` where this process's coordinator listens besides, for workers and clients elsewhere
  /// (port 0: any free one, which `cluster::address` says). Beyond loopback with `coordinator.beyond_loopback` alone.
  std::string_view listen = {};
  client_options client = {};            ///< of this process as a client
  coordinator_options coordinator = {};  ///< of local:// and spawn://
  /// Of local://, its slots, cookie and polling aside; with spawn:// the processes are given `limits.payload` and
  /// `broadcast_bytes`.
  worker_options worker = {};
};
static_assert(require_options<cluster_options>());

DTASK_END
