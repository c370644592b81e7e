// SPDX-License-Identifier: BSL-1.0
#pragma once
/// The room control/: what is decided.

/// @namespace dtask::control
/// Internal to the library: what coordinator, worker and client decide, without sockets and clocks. The public headers
/// of other rooms do not name it, any release may change it, and the reference leaves it out.
#include "dtask/control/action.hpp"
#include "dtask/control/backoff.hpp"
#include "dtask/control/broadcast_cache.hpp"
#include "dtask/control/client_state.hpp"
#include "dtask/control/coordinator_state.hpp"
#include "dtask/control/held_payload.hpp"
#include "dtask/control/job_table.hpp"
#include "dtask/control/lease.hpp"
#include "dtask/control/machine_driver.hpp"
#include "dtask/control/options.hpp"
#include "dtask/control/peer_table.hpp"
#include "dtask/control/random_sequence.hpp"
#include "dtask/control/ready_queue.hpp"
#include "dtask/control/retry.hpp"
#include "dtask/control/send_queue.hpp"
#include "dtask/control/session_table.hpp"
#include "dtask/control/slab.hpp"
#include "dtask/control/slab_timers.hpp"
#include "dtask/control/speed.hpp"
#include "dtask/control/stream.hpp"
#include "dtask/control/trim_schedule.hpp"
#include "dtask/control/type_table.hpp"
#include "dtask/control/uplink.hpp"
#include "dtask/control/worker_state.hpp"
#include "dtask/control/worker_table.hpp"
