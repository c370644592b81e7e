// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the header-only unit of this program offers the compiled one.
#include <dtask/main.hpp>

inline int half(int n) { return n / 2; }
using half_job = dtask::function_job<"half/1", &half, dtask::pure>;
using jobs = dtask::registry<half_job>;

const void* pool_of_header_only();
const void* offload_of_header_only();
dtask::task<int> call_header_only(dtask::cluster& c);
dtask::task<dtask::cluster> connect_header_only(const char* url);
