// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The room sim/: the three state machines on virtual time and a virtual network, from one seed.

/// @namespace dtask::sim
/// Internal to the library: coordinator, worker and client on virtual time and a virtual network, for the library's own
/// tests. The public headers of other rooms do not name it, any release may change it, and the reference leaves it out.
#include "dtask/sim/network.hpp"
#include "dtask/sim/network_traits.hpp"
#include "dtask/sim/observer.hpp"
#include "dtask/sim/process.hpp"
#include "dtask/sim/random_source.hpp"
#include "dtask/sim/trace.hpp"
#include "dtask/sim/virtual_link.hpp"
#include "dtask/sim/virtual_scheduler.hpp"
#include "dtask/sim/world.hpp"
