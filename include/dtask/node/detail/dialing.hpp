// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <utility>

#include "dtask/base/config.hpp"
#include "dtask/base/error.hpp"
#include "dtask/net/connector.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/pipe.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/detail/coordinator_node.hpp"
#include "dtask/node/detail/worker_node.hpp"

DTASK_BEGIN
namespace detail {

/// Dials over TCP.
inline dialer tcp_dialer(net::executor where, net::host_port to, const wire::limits& limits) {
  net::connector_options options;
  options.links.limits = limits;
  return [where, to = std::move(to), options](link_taker take) -> std::shared_ptr<void> {
    return std::make_shared<net::connector>(where, to, options, std::move(take));
  };
}
/// Dials a coordinator on the same thread through a pipe.
inline dialer pipe_dialer(net::executor where, std::weak_ptr<coordinator_node> to, const wire::limits& limits) {
  net::link_options options;
  options.limits = limits;
  return [where, to = std::move(to), options](link_taker take) -> std::shared_ptr<void> {
    net::post(where, [where, to, options, take = std::move(take)] {
      const auto coordinator = to.lock();
      if (!coordinator) return take(error(errc::unreachable, "the coordinator of this process has ended"));
      net::pipe_ends ends = net::make_pipe(where, where, options);
      coordinator->admit(std::move(ends.listening), true);
      take(std::move(ends.connecting));
    });
    return nullptr;
  };
}

}  // namespace detail
DTASK_END
