// SPDX-License-Identifier: BSL-1.0
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "dtask/base/config.hpp"
#include "dtask/job/registry.hpp"
#include "dtask/node/cluster_options.hpp"
#include "dtask/node/detail/cluster_backend.hpp"
#include "dtask/wire/message.hpp"

DTASK_BEGIN
namespace detail {

/// Throws `error`: `invalid_argument` (the address, a client inside a job), `io_error` (a process that cannot be
/// started, no port, no thread or descriptor left).
std::shared_ptr<cluster_backend> make_backend(std::string_view url, wire::role role, std::span<const job_entry> entries,
                                              const cluster_options& options);

}  // namespace detail
DTASK_END

#ifndef DTASK_SEPARATE_COMPILATION
#include "dtask/node/impl/make_backend.ipp"
#endif
