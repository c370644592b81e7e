// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <string_view>

#include "dtask/base/cluster_status.hpp"
#include "dtask/base/config.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/task/task.hpp"

DTASK_BEGIN

/// Asks the coordinator at `tcp://HOST:PORT` for its status, as an observer that submits nothing, within
/// `options.client.connect_within` from this call on, of which the answer may take `status_within`. Throws `error`:
/// `unreachable`, `deadline_exceeded` where it was reached and is silent, `invalid_argument`, and as the connection
/// ends. The task blocks its thread for a moment at its end.
task<cluster_status> query_status(std::string_view url, const cluster_options& options = {});

DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/query_status.ipp"
#endif
