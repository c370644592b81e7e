// SPDX-License-Identifier: BSL-1.0
// Asks a cluster how it is: workers, slots, jobs by state, bytes. `dtask status --on URL` shows the same.
#include <chrono>
#include <cstdio>
#include <dtask/main.hpp>
#include <numeric>
#include <string>
#include <vector>

using namespace std::chrono_literals;

inline unsigned long long sum_up(const std::vector<unsigned>& values) {
  return std::accumulate(values.begin(), values.end(), 0ull);
}
using sum_job = dtask::function_job<"sum_up/1", &sum_up, dtask::pure>;

unsigned count_slots(const dtask::cluster_status& now) {
  unsigned slots = 0;
  for (const dtask::worker_status& worker : now.workers)
    if (worker.state == "up") slots += worker.slots - worker.lost_slots;
  return slots;
}

dtask::task<> body(dtask::cluster& c) {
  // The processes of spawn:// come one by one; with_timeout bounds what this loop may wait for them.
  dtask::cluster_status now = co_await c.status();
  while (count_slots(now) < 2) {
    co_await dtask::sleep_for(5ms);
    now = co_await c.status();
  }
  std::printf("slots: %u, clients: %llu\n", count_slots(now), static_cast<unsigned long long>(now.clients));

  const std::vector<unsigned> values(100'000, 3);
  for (int i = 0; i < 5; ++i) co_await c.call<sum_job>(values);

  now = co_await c.status();
  std::uint64_t done = 0;
  for (const dtask::worker_status& worker : now.workers) done += worker.done;
  std::printf("jobs: %llu succeeded, %llu queued, %llu running; done by the workers: %llu\n",
              static_cast<unsigned long long>(now.succeeded), static_cast<unsigned long long>(now.queued),
              static_cast<unsigned long long>(now.running), static_cast<unsigned long long>(done));
  std::printf("bytes of arguments that wait: %llu\n", static_cast<unsigned long long>(now.payload_bytes));
}

int main(int argc, char** argv) { return dtask::main<dtask::registry<sum_job>>(argc, argv, body); }

// Run: --on local://2
// Run: --on spawn://2
// Output:
// slots: 2, clients: 1
// jobs: 5 succeeded, 0 queued, 0 running; done by the workers: 5
// bytes of arguments that wait: 0
