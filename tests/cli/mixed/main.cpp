// SPDX-License-Identifier: BSL-1.0
// A program of two units, one header-only and one on the compiled library: they share every object of the process, and
// each works with what the other one made.
#include <cstdio>
#include <dtask/dtask.hpp>
#include <dtask/main.hpp>

#include "units.hpp"

#ifndef DTASK_SEPARATE_COMPILATION
#error "this unit is on the compiled library"
#endif

int main(int argc, char** argv) {
  return dtask::main<jobs>(argc, argv, [](dtask::cluster& c) -> dtask::task<int> {
    const int here = co_await c.call<half_job>(84);
    const int there = co_await call_header_only(c);
    auto connecting = connect_header_only("local://1");
    dtask::cluster other = co_await std::move(connecting);
    const int crossed = co_await other.call<half_job>(84);
    co_await other.close();
    const bool one_pool = pool_of_header_only() == &dtask::work_pool::shared() &&
                          offload_of_header_only() == &dtask::offload_pool::shared();
    std::printf("%d %d %d %s\n", here, there, crossed, one_pool ? "one pool" : "two pools");
    co_return one_pool ? 0 : 1;
  });
}
