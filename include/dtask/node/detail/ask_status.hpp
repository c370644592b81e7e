// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <utility>

#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/node/detail/client_port.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN
namespace detail {

/// The coordinator's status, which `client` asks for when the task starts. Throws `error`: `closed` where there is no
/// client or it ends, `deadline_exceeded` after its `status_within`. Cancelled, it waits no longer; the answer is
/// thrown away.
// A template, since g++ 12 compiles the body of an inline coroutine in every unit that sees it, used or not.
template <class = void>
task<cluster_status> ask_status(std::shared_ptr<client_port> client) {
  if (!client) throw error(errc::closed, "this cluster is not connected");
  const auto query = std::make_shared<pending_status>();
  client->query_status(query);
  auto report = co_await query->done.wait();
  co_return std::move(report).value();
}

}  // namespace detail
DTASK_END
