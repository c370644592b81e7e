// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <dtask/task.hpp>

dtask::task<int> answer() { co_return 42; }

int main() { std::printf("%d\n", dtask::sync_wait(answer())); }
