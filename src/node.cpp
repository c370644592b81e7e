// SPDX-License-Identifier: BSL-1.0
// The bodies of node/, compiled once: for programs that define DTASK_SEPARATE_COMPILATION.
#include "dtask/node.hpp"

#include "dtask/node/detail/make_backend.hpp"
#include "dtask/node/impl/caller.ipp"
#include "dtask/node/impl/cluster.ipp"
#include "dtask/node/impl/coordinator.ipp"
#include "dtask/node/impl/decode_reply.ipp"
#include "dtask/node/impl/make_backend.ipp"
#include "dtask/node/impl/map_stream.ipp"
#include "dtask/node/impl/process_memory.ipp"
#include "dtask/node/impl/query_status.ipp"
#include "dtask/node/impl/submitted_call.ipp"
#include "dtask/node/impl/worker.ipp"
