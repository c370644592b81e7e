// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <system_error>

#include "dtask/base/message_of.hpp"
#include "dtask/base/shortage.hpp"
#include "dtask/net/url.hpp"
#include "dtask/node/detail/cluster_core.hpp"

DTASK_BEGIN
namespace detail {

DTASK_INLINE std::shared_ptr<cluster_backend> make_backend(std::string_view url, wire::role role,
                                                           std::span<const job_entry> entries,
                                                           const cluster_options& options) {
  const net::url where = net::parse_url(url).value();
  if (role == wire::role::observer && where.kind != net::url::scheme::tcp)
    throw error(errc::invalid_argument, "only a coordinator that listens can be asked for its status", {},
                "write tcp://HOST:PORT");
  try {
    return std::make_shared<cluster_core>(where, role, entries, options);
  } catch (const std::system_error& e) {
    throw system_failure(e.code(), message_of(e));
  }
}

}  // namespace detail
DTASK_END
