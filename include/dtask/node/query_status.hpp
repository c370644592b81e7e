// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/node/detail/make_backend.hpp"
#include "dtask/task/task.hpp"
#include "dtask/task/with_timeout.hpp"

DTASK_BEGIN
namespace detail {
template <class = void>
task<wire::status_report> await_status(std::shared_ptr<pending_status> query) {
  auto report = co_await query->done.wait();
  co_return std::move(report).value();
}
template <class = void>
task<wire::status_report> observe(std::shared_ptr<cluster_backend> core, time_point until, std::string url) {
  const error why = co_await core->client()->connected.wait();
  if (why) throw why;
  const auto query = std::make_shared<pending_status>();
  core->client()->query_status(query);
  auto answer = with_deadline(await_status(query), until);
  try {
    co_return co_await std::move(answer);
  } catch (const error& e) {
    if (e.code() != errc::deadline_exceeded) throw;
  }
  throw error(errc::deadline_exceeded, "the coordinator was reached and did not answer within the stated time",
              std::move(url), "is it stopped, or very busy? Ask again, with more time");
}
}  // namespace detail

/// Asks the coordinator at `tcp://HOST:PORT` for its status, as an observer that submits nothing, within
/// `options.client.connect_within` from this call on, of which the answer may take `status_within`. Throws `error`:
/// `unreachable`, `deadline_exceeded` where it was reached and is silent, `invalid_argument`, and as the connection
/// ends. The task blocks its thread for a moment at its end.
inline task<wire::status_report> query_status(std::string_view url, const cluster_options& options = {}) {
  const time_point until =
      deadline_after(std::chrono::time_point_cast<duration>(clock_type::now()), options.client.connect_within);
  return detail::observe(detail::make_backend(url, wire::role::observer, std::span<const job_entry>(), options), until,
                         std::string(url));
}

DTASK_END
