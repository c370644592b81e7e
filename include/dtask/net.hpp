// SPDX-License-Identifier: BSL-1.0
#pragma once
/// net/: how bytes move. Links over TCP and over a pipe inside the process, listener, connector, addresses.

/// @namespace dtask::net
/// Internal to the library: links over TCP and inside the process. The public headers of other rooms do not name it,
/// any release may change it, and the reference leaves it out.
#include "dtask/net/connector.hpp"
#include "dtask/net/link.hpp"
#include "dtask/net/listener.hpp"
#include "dtask/net/pipe.hpp"
#include "dtask/net/turn.hpp"
#include "dtask/net/url.hpp"
