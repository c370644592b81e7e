// SPDX-License-Identifier: BSL-1.0
// A unit that has the library in its headers.
#include <dtask/dtask.hpp>

#include "units.hpp"

#ifdef DTASK_SEPARATE_COMPILATION
#error "this unit is header-only"
#endif

const void* pool_of_header_only() { return &dtask::work_pool::shared(); }
const void* offload_of_header_only() { return &dtask::offload_pool::shared(); }
dtask::task<int> call_header_only(dtask::cluster& c) { return c.call<half_job>(84); }
dtask::task<dtask::cluster> connect_header_only(const char* url) { return dtask::cluster::connect<jobs>(url); }
