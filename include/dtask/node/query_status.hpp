#pragma once
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/node/detail/make_backend.hpp"
#include "dtask/task/shield.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {
template <class = void>
task<wire::status_report> observe(std::shared_ptr<cluster_backend> core) {
  const error why = co_await core->client()->connected.wait();
  if (why) throw why;
  const auto query = std::make_shared<pending_status>();
  core->client()->query_status(query);
  auto report = co_await query->done.wait();
  co_return std::move(report).value();
}
}  // namespace detail

/// Asks the coordinator at `tcp://HOST:PORT` for its status, as an observer that submits nothing. Throws `error`: `unreachable`, `invalid_argument`, and as the connection ends.
/// The task blocks its thread for a moment at its end.
inline task<wire::status_report> query_status(std::string_view url, const cluster_options& options = {}) {
  return detail::observe(detail::make_backend(url, wire::role::observer, std::span<const job_entry>(), options));
}

DTASK_END
