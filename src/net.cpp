// SPDX-License-Identifier: BSL-1.0
// The bodies of net/, compiled once: for programs that define DTASK_SEPARATE_COMPILATION.
#include "dtask/net.hpp"

#include "dtask/net/impl/connector.ipp"
#include "dtask/net/impl/link_core.ipp"
#include "dtask/net/impl/listener.ipp"
#include "dtask/net/impl/pipe.ipp"
#include "dtask/net/impl/tcp_core.ipp"
#include "dtask/net/impl/turn.ipp"
#include "dtask/net/impl/url.ipp"
