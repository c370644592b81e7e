// SPDX-License-Identifier: BSL-1.0
#pragma once
/// What a user starts: `cluster` (a client, with local:// and spawn://), `coordinator`, `worker`.
#include "dtask/node/call_options.hpp"
#include "dtask/node/caller.hpp"
#include "dtask/node/cluster.hpp"
#include "dtask/node/cluster_of.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/node/coordinator.hpp"
#include "dtask/node/job_handle.hpp"
#include "dtask/node/map_stream.hpp"
#include "dtask/node/query_status.hpp"
#include "dtask/node/worker.hpp"
