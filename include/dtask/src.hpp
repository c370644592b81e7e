// SPDX-License-Identifier: BSL-1.0
#pragma once
/// For programs that define DTASK_SEPARATE_COMPILATION in all their units: exactly one of them includes this and then
/// holds the bodies of node/ and cli/. Without cli/ (and CLI11) define DTASK_WITHOUT_CLI there. Elsewhere it is empty.
#ifdef DTASK_SEPARATE_COMPILATION
#include "dtask/node.hpp"
#include "dtask/node/impl/coordinator.ipp"
#include "dtask/node/impl/make_backend.ipp"
#include "dtask/node/impl/worker.ipp"
#ifndef DTASK_WITHOUT_CLI
#include "dtask/cli.hpp"
#include "dtask/cli/impl/coordinator_role.ipp"
#include "dtask/cli/impl/run_role.ipp"
#include "dtask/cli/impl/status_role.ipp"
#include "dtask/cli/impl/worker_role.ipp"
#endif
#endif
