// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "dtask/base/deadline.hpp"
#include "dtask/base/error.hpp"
#include "dtask/node/detail/ask_status.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/node/detail/cluster_backend.hpp"
#include "dtask/node/detail/make_backend.hpp"
#include "dtask/task/with_timeout.hpp"

DTASK_BEGIN
namespace detail {

// A template, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<cluster_status> observe(std::shared_ptr<cluster_backend> core, time_point until, std::string url) {
  const error why = co_await core->client()->connected.wait();
  if (why) throw why;
  auto answer = with_deadline(ask_status(core->client()), until);
  try {
    co_return co_await std::move(answer);
  } catch (const error& e) {
    if (e.code() != errc::deadline_exceeded) throw;
  }
  throw error(errc::deadline_exceeded, "the coordinator was reached and did not answer within the stated time",
              std::move(url), "is it stopped, or very busy? Ask again, with more time");
}

}  // namespace detail

DTASK_INLINE task<cluster_status> query_status(std::string_view url, const cluster_options& options) {
  const time_point until =
      deadline_after(std::chrono::time_point_cast<duration>(clock_type::now()), options.client.connect_within);
  return detail::observe(detail::make_backend(url, wire::role::observer, std::span<const job_entry>(), options), until,
                         std::string(url));
}

DTASK_END
