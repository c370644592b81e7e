// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <exception>

#include "dtask/base/error.hpp"
#include "dtask/node/detail/ask_status.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/cluster_backend.hpp"
#include "dtask/node/detail/make_backend.hpp"
#include "dtask/runtime/offload.hpp"
#include "dtask/task/one_shot.hpp"

DTASK_BEGIN
namespace detail {

// Templates, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<> end_backend(std::shared_ptr<cluster_backend> core) {
  if (!core) co_return;
  core->client()->close(false);
  co_await core->client()->closed.wait();
  // Threads and children are waited for, which blocks: not on the caller's scheduler, and not behind blocking calls of
  // the user.
  offload_pool beside(1);
  const auto take_down = [core] { core->take_down(); };
  auto down = offload(beside, take_down);
  bool no_thread = false;
  try {
    co_await std::move(down);
  } catch (const error&) {
    no_thread = true;
  }
  if (no_thread) core->take_down();
}
template <class = void>
task<> await_broadcast(std::shared_ptr<client_port> client, std::shared_ptr<pending_broadcast> pending) {
  if (!client) throw error(errc::closed, "this cluster is not connected");
  const failure why = co_await pending->done.wait();
  if (why.code != errc::ok) throw error(why.code, why.message, why.place, why.remedy);
}

}  // namespace detail

template <class>
task<cluster> cluster::await_welcome(std::shared_ptr<detail::cluster_backend> core, std::exception_ptr failed,
                                     std::span<const job_entry> entries, codec_limits limits) {
  if (failed) std::rethrow_exception(failed);
  error why;
  try {
    why = co_await core->client()->connected.wait();
  } catch (...) {
    failed = std::current_exception();
  }
  if (!failed && !why) co_return cluster(std::move(core), entries, limits);
  auto ending = detail::end_backend(core);
  auto kept = shield(std::move(ending));
  co_await std::move(kept);
  if (failed) std::rethrow_exception(failed);
  throw why;
}

DTASK_INLINE cluster::cluster(std::shared_ptr<detail::cluster_backend> core, std::span<const job_entry> entries,
                              const codec_limits& limits)
    : caller(core->client(), entries, limits), core_(std::move(core)) {}

DTASK_INLINE task<cluster> cluster::connect_with(std::string_view url, const cluster_options& options,
                                                 std::span<const job_entry> jobs) {
  codec_limits limits;
  limits.payload = options.client.limits.payload;
  limits.blobs = options.client.limits.blobs;
  std::shared_ptr<detail::cluster_backend> core;
  std::exception_ptr failed;
  try {
    // At once, since the options' views may not outlive the caller's expression.
    core = detail::make_backend(url, wire::role::client, jobs, options);
  } catch (...) {
    failed = std::current_exception();
  }
  return await_welcome<void>(std::move(core), std::move(failed), jobs, limits);
}

DTASK_INLINE task<> cluster::name_value(blob_kind kind, std::string name, bytes value) {
  auto pending = std::make_shared<detail::pending_broadcast>();
  pending->kind = kind;
  pending->name = std::move(name);
  pending->value = std::move(value);
  // At the call, not when it is awaited: what is submitted next comes after it.
  if (client_) client_->broadcast(pending);
  return detail::await_broadcast(client_, std::move(pending));
}
DTASK_INLINE task<> cluster::broadcast(std::string name, bytes value) {
  return name_value(blob_kind::broadcast, std::move(name), std::move(value));
}
DTASK_INLINE task<> cluster::publish(std::string name, bytes value) {
  return name_value(blob_kind::published, std::move(name), std::move(value));
}
DTASK_INLINE task<> cluster::withdraw(std::string name) {
  return name_value(blob_kind::withdrawn, std::move(name), {});
}

DTASK_INLINE task<cluster_status> cluster::status() { return detail::ask_status(client_); }

DTASK_INLINE task<> cluster::finish() { return detail::end_backend(core_); }

DTASK_INLINE std::vector<std::uint32_t> cluster::worker_pids() const {
  return core_ ? core_->pids() : std::vector<std::uint32_t>();
}
DTASK_INLINE std::string cluster::address() const { return core_ ? core_->address() : std::string(); }
DTASK_INLINE memory_use cluster::memory() const { return core_ ? core_->memory() : memory_use(); }

DTASK_END
