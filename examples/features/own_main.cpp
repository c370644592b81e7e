// SPDX-License-Identifier: BSL-1.0
// A program with a `main` of its own: it reads its command line itself, and is its own worker under spawn://.
#include <cstdio>
#include <dtask/main.hpp>
#include <exception>
#include <string_view>

inline int collatz_steps(unsigned long long n) {
  int steps = 0;
  for (; n != 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  return steps;
}
using collatz_job = dtask::function_job<"collatz_steps/1", &collatz_steps, dtask::pure>;
using jobs = dtask::registry<collatz_job>;

dtask::task<> body(std::string_view url) {
  dtask::cluster_options options;
  options.command = "/proc/self/exe";  // what spawn:// starts, with the word `worker` and the role's options
  auto c = co_await dtask::cluster::connect<jobs>(url, options);
  std::exception_ptr failed;
  try {
    for (const unsigned long long n : {6ull, 27ull, 837'799ull}) {
      const int steps = co_await c.call<collatz_job>(n);
      std::printf("%llu: %d steps\n", n, steps);
    }
  } catch (...) {
    failed = std::current_exception();
  }
  co_await c.close();  // also after a failure: the orderly end, for which a destructor cannot wait
  if (failed) std::rethrow_exception(failed);
}

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "worker") return dtask::worker_role(argc - 1, argv + 1, jobs::entries());
  try {
    dtask::sync_wait(body(argc > 1 ? argv[1] : "local://2"));  // on this thread: no pool is needed to wait for jobs
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "own_main: %s\n", dtask::message_of(e).c_str());
    return 1;
  }
}

// Run: local://2
// Run: spawn://2
// Output:
// 6: 8 steps
// 27: 111 steps
// 837799: 524 steps
