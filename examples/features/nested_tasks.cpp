// SPDX-License-Identifier: BSL-1.0
// Tasks in tasks, on both sides: the client divides the board's first row among jobs, a job its second row among tasks.
#include <cstdio>
#include <dtask/main.hpp>
#include <numeric>
#include <utility>
#include <vector>

constexpr unsigned size = 9;

/// Ways to place queens on the rows that are left; each bit is a column that is attacked.
inline int place_rest(unsigned row, unsigned columns, unsigned left, unsigned right) {
  if (row == size) return 1;
  int ways = 0;
  for (unsigned bit = 1; bit < 1u << size; bit <<= 1)
    if (!((columns | left | right) & bit))
      ways += place_rest(row + 1, columns | bit, (left | bit) << 1, (right | bit) >> 1);
  return ways;
}
inline dtask::task<int> place_from(unsigned row, unsigned columns, unsigned left, unsigned right) {
  co_return place_rest(row, columns, left, right);
}

// The job awaits tasks of its own: they run on the worker's threads, which are as many as its slots.
inline dtask::task<int> place_second(unsigned column) {
  const unsigned first = 1u << column;
  std::vector<dtask::task<int>> second;
  for (unsigned bit = 1; bit < 1u << size; bit <<= 1)
    if (!((first | first << 1 | first >> 1) & bit))
      second.push_back(place_from(2, first | bit, (first << 1 | bit) << 1, (first >> 1 | bit) >> 1));
  const std::vector<int> ways = co_await dtask::when_all(std::move(second));
  co_return std::accumulate(ways.begin(), ways.end(), 0);
}
using queens_job = dtask::function_job<"place_second/1", &place_second, dtask::pure>;

// A task that awaits tasks that await jobs. A job itself calls no jobs: it would hold its slot while it waits.
dtask::task<int> place_between(dtask::cluster& c, unsigned first, unsigned last) {
  if (last - first == 1) co_return co_await c.call<queens_job>(first);
  const unsigned middle = std::midpoint(first, last);
  const auto [lower, upper] = co_await dtask::when_all(place_between(c, first, middle), place_between(c, middle, last));
  co_return lower + upper;
}

dtask::task<> body(dtask::cluster& c) {
  const int ways = co_await place_between(c, 0, size);
  std::printf("%u queens on a board of %u x %u: %d ways\n", size, size, size, ways);
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<queens_job>>(argc, argv, body); }

// Run: --on local://2
// Run: --on spawn://2
// Output:
// 9 queens on a board of 9 x 9: 352 ways
