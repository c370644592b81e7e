// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <cstdlib>
#include <string>
#include <system_error>

#include "dtask/base/message_of.hpp"
#include "dtask/base/shortage.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/detail/cluster_core.hpp"
#include "dtask/process/spawned.hpp"
#include "dtask/task/parts/thread_state.hpp"

DTASK_BEGIN
namespace detail {

DTASK_INLINE std::shared_ptr<cluster_backend> make_backend(std::string_view url, wire::role role,
                                                           std::span<const job_entry> entries,
                                                           const cluster_options& options) {
  if (role == wire::role::client && !options.inside_jobs && this_thread().runs_jobs)
    throw error(errc::invalid_argument, "a job cannot be a client of a cluster: while it waits it holds its slot",
                std::string(url),
                "let the job return what is to be done next, and its caller call that; or set "
                "cluster_options::inside_jobs, where what the job calls never waits for the job's own slot");
  const net::url where = net::parse_url(url).value();
  if (role == wire::role::observer && where.kind != net::url::scheme::tcp)
    throw error(errc::invalid_argument, "only a coordinator that listens can be asked for its status", {},
                "write tcp://HOST:PORT");
  if (where.kind == net::url::scheme::spawn && std::getenv(spawned_variable) != nullptr)
    throw error(errc::invalid_argument,
                "this process was started by spawn:// to be a worker, and wants to start further ones",
                std::string(url),
                "its main has to call dtask::worker_role where its first argument is `worker`, before it connects; "
                "dtask::main does");
  try {
    return std::make_shared<cluster_core>(where, role, entries, options);
  } catch (const std::system_error& e) {
    throw system_failure(e.code(), message_of(e));
  }
}

}  // namespace detail
DTASK_END
